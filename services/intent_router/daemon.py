"""Hears the end of stories and emits what is dropped; the work is in `watch`, `work` and `answers`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import cache

from services.intent_router import routes
from services.intent_router.answers import Answers
from services.intent_router.arrivals import Arrivals
from services.intent_router.folder import Folder
from services.intent_router.intent import Limits
from services.intent_router.logic import Outgoing, Route
from services.intent_router.mounts import refuse_network
from services.intent_router.watch import Watcher
from services.intent_router.work import Work
from services.runtime import Daemon
from signals.envelope import Signal
from signals.errors import LigandError
from signals.ids import keyed, uuid7

NAME = "intent_router"
DAY_S = 86400
DRAIN_S = 5.0
PRUNE_EVERY_S = 3600
STATUS_EVERY_S = 5
HINTS = {
    "folder_left_alone": "only files are intents; move the folder away",
    "taken_while_open": "its writer paused too long and never closed it; write elsewhere and move it in",
}

daemon = Daemon(NAME)


async def send(plans: Sequence[Sequence[Outgoing]]) -> None:
    """Emit plans as one atomic batch; all of it carries the taint of a file."""
    async with daemon.batch() as emit:
        nth = 0
        try:
            for root, *rest in plans:
                first = emit(root.signal, root.facts, key=root.key, taint=["file"])
                nth += 1
                for each in rest:
                    emit(each.signal, each.facts, key=each.key, because=[first], taint=["file"])
                    nth += 1
        except LigandError as error:
            error.fields["nth"] = nth
            raise


class Router:
    """The parts of a running router, and what holds each of them up."""

    def __init__(self) -> None:
        config = daemon.config
        self.faults: dict[str, str] = {}
        self.folder = Folder(daemon.paths.intents, uuid7)
        self.arrivals = Arrivals(self.folder, config["settle_s"], self._warn)
        self.answers = Answers(self.folder, lambda key: keyed(NAME, key))
        self.watcher = Watcher(self.folder, self.arrivals, config["sweep_s"], self._reporter("watch"))
        self.work = Work(
            self.folder,
            self.arrivals,
            self.answers,
            routes=load_routes(),
            limits=limits(),
            send=send,
            log=daemon.log,
            report=self._reporter("work"),
            in_flight=config["in_flight"],
        )
        self.recording = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Watch, and work once the folder has been looked through, so that the most urgent goes first."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.watcher.run())
            await self.watcher.scanned.wait()
            tasks.create_task(self.work.run())

    async def stop(self) -> None:
        """Finish what is in hand, then end."""
        self.work.stop()
        await self.work.drain(DRAIN_S)
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    def tell(self) -> None:
        """Say how it stands."""
        counts = self.work.counts
        text = f"{len(self.arrivals)} waiting, {counts.routed} routed, {counts.refused} refused"
        daemon.status("; ".join([*self.faults.values(), text]), degraded=bool(self.faults))

    def check(self) -> None:
        """Raise what ended the work, if anything did."""
        if self.task is not None and self.task.done() and not self.task.cancelled():
            self.task.result()

    def _reporter(self, part: str) -> Callable[[str | None], None]:
        def report(fault: str | None) -> None:
            if fault == self.faults.get(part):
                return
            if fault is None:
                daemon.log.info("recovered", part=part, was=self.faults.pop(part))
            else:
                self.faults[part] = fault
                daemon.log.warning("degraded", part=part, fault=fault)
            self.tell()

        return report

    def _warn(self, action: str, name: str) -> None:
        daemon.log.warning(action, file=name, hint=HINTS[action])


@daemon.on_check
def load_routes() -> tuple[Route, ...]:
    """The routes as the files have them now; raises `ConfigError`."""
    return routes.load(daemon.paths.config, daemon.manifest.emits, daemon.catalogue)


def limits() -> Limits:
    """The configured limits."""
    return Limits(daemon.config["max_file_bytes"], daemon.config["max_question_bytes"])


@cache
def router() -> Router:
    """The one router of this process, built when the configuration is there."""
    return Router()


@daemon.on_start
async def start() -> None:
    """Refuse what cannot work, then watch."""
    refuse_network(daemon.paths.intents)
    await asyncio.to_thread(router().folder.ensure)
    router().task = asyncio.create_task(router().run())


@daemon.on_stop
async def stop() -> None:
    """Finish what is in hand; the rest waits in `working/`."""
    if router.cache_info().currsize:  # the start may have been refused
        await router().stop()


@daemon.on_reload
async def reload() -> None:
    """Take the new routes and limits; raises `ConfigError`, and the old ones stay."""
    router().work.routes = load_routes()
    router().work.limits = limits()


@daemon.on("Q_*")
async def end(signal: Signal) -> None:
    """A story ended: write its answer, if a file began it."""
    await record(signal)


@daemon.on("Q_INVESTIGATION_COMPLETE")
async def found(signal: Signal) -> None:
    """What was found goes into the answer when the story ends."""
    await record(signal)


async def record(signal: Signal) -> None:
    """Keep a signal of a story; stories that no file began cost one look."""
    answers = router().answers
    if answers.notes.find(signal.correlation_id) is None:
        return
    ends = daemon.catalogue[signal.signal].terminal
    async with router().recording:
        await asyncio.to_thread(answers.record, signal, ends=ends)


@daemon.every(STATUS_EVERY_S)
async def tell() -> None:
    """Report, and fail loudly when the router's own work has ended."""
    router().tell()
    router().check()


@daemon.every(PRUNE_EVERY_S)
async def prune() -> None:
    """Remove what is older than `keep_days`."""
    before_s = time.time() - daemon.config["keep_days"] * DAY_S
    gone = await asyncio.to_thread(router().folder.prune, int(before_s * 1000))
    gone += await asyncio.to_thread(router().answers.notes.prune, before_s)
    if gone:
        daemon.log.info("pruned", files=gone)
