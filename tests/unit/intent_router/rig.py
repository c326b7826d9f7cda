"""The router's parts on a real folder and real inotify, with a recorder in the place of the bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from services.intent_router import routes
from services.intent_router.answers import Answers
from services.intent_router.arrivals import Arrivals
from services.intent_router.folder import Folder
from services.intent_router.intent import Limits
from services.intent_router.logic import Outgoing
from services.intent_router.watch import Watcher
from services.intent_router.work import Work
from signals.catalogue import Catalogue
from signals.errors import ConflictError
from signals.ids import keyed, uuid7

LIMITS = Limits()
PATIENCE_S = 60
CATALOGUE = Catalogue.load()
EMITS = ("Q_INTENT_READY", "Q_INTENT_REJECTED", "Q_CURIOSITY_INVESTIGATE")
ROUTES = routes.read(routes.PACKAGED, EMITS, CATALOGUE)


def root_id(key: str) -> str:
    return keyed("intent_router", key)


def intent(question: str = "What does the json module do?", **data: Any) -> str:
    return json.dumps({"type": "question", "data": {"question": question, **data}})


class Changes:
    """Lets a test wait until something holds, looking again whenever something happened."""

    def __init__(self) -> None:
        self._changed: list[asyncio.Event] = []

    def happened(self) -> None:
        for event in self._changed:
            event.set()

    async def until(self, holds: Callable[[], Any]) -> None:
        event = asyncio.Event()
        self._changed.append(event)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds():
                    await event.wait()
                    event.clear()
        finally:
            self._changed.remove(event)


class Recorder:
    """Takes plans as the bus does: all or none, checked against the contracts, once an id, other content a conflict."""

    def __init__(self, changes: Changes) -> None:
        self.changes = changes
        self.by_id: dict[str, tuple[str, dict[str, Any]]] = {}
        self.sent = 0
        self.before: Callable[[Sequence[Outgoing]], None] = lambda plan: None

    async def __call__(self, plans: Sequence[Sequence[Outgoing]]) -> None:
        for plan in plans:
            self.before(plan)
        self.sent += len(plans)
        await asyncio.sleep(0)
        new: dict[str, tuple[str, dict[str, Any]]] = {}
        for nth, out in enumerate(out for plan in plans for out in plan):
            self._check(out, nth)
            new[root_id(out.key)] = (out.signal, out.facts)
        self.by_id |= new
        self.changes.happened()

    def _check(self, out: Outgoing, nth: int) -> None:
        content = (out.signal, out.facts)
        if self.by_id.get(root_id(out.key), content) != content:
            raise ConflictError(nth=nth)
        if not CATALOGUE[out.signal].is_valid(out.facts):
            CATALOGUE[out.signal].check(out.facts)

    def facts(self, signal: str = "Q_CURIOSITY_INVESTIGATE") -> list[dict[str, Any]]:
        return [facts for name, facts in self.by_id.values() if name == signal]

    def questions(self) -> list[str]:
        return [facts["question"] for facts in self.facts()]


class Diary:
    """A logger that remembers."""

    def __init__(self, changes: Changes) -> None:
        self.changes = changes
        self.lines: list[dict[str, Any]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})
        self.changes.happened()

    debug = warning = info

    def all(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


class Rig:
    """One router, restartable on the same folder by making another one."""

    def __init__(self, root: Path, settle_s: float = 0.05, sweep_s: float = 3600, in_flight: int = 64) -> None:
        self.root = root
        self.changes = Changes()
        self.bus = Recorder(self.changes)
        self.diary = Diary(self.changes)
        self.blind: list[str | None] = []  # what the watch reported
        self.held: list[str | None] = []  # what the work reported
        self.folder = Folder(root, uuid7)
        self.folder.ensure()
        self.arrivals = Arrivals(self.folder, settle_s, lambda action, name: self.diary.info(action, file=name))
        self.answers = Answers(self.folder, root_id)
        self.watcher = Watcher(self.folder, self.arrivals, sweep_s, self._reporter(self.blind))
        self.work = Work(
            self.folder,
            self.arrivals,
            self.answers,
            routes=ROUTES,
            limits=LIMITS,
            send=self.bus,
            log=self.diary,
            report=self._reporter(self.held),
            in_flight=in_flight,
        )

    def _reporter(self, faults: list[str | None]) -> Callable[[str | None], None]:
        def report(fault: str | None) -> None:
            if not faults or faults[-1] != fault:
                faults.append(fault)
            self.changes.happened()

        return report

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self.watcher.run())
            await self.watcher.scanned.wait()
            working = tasks.create_task(self.work.run())
            try:
                yield
            finally:
                self.work.stop()
                await self.work.drain(PATIENCE_S)
                watching.cancel()
                working.cancel()

    async def routed(self, count: int) -> None:
        """Wait until so many files stand in `done/`."""
        await self.changes.until(lambda: self.work.counts.routed >= count)

    async def refused(self, count: int) -> None:
        """Wait until so many files stand in `rejected/`."""
        await self.changes.until(lambda: self.work.counts.refused >= count)

    def standing(self, folder: str) -> list[str]:
        """The names in a subfolder without their ids, notes left out."""
        found = (self.root / folder).iterdir()
        return sorted(path.name[37:] for path in found if not path.name.startswith("."))
