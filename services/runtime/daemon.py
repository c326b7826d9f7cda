"""A daemon: its manifest plus handlers. The frame brings configuration, logs, readiness, reload, drain and more."""

from __future__ import annotations

import asyncio
import os
import signal as os_signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

from services.runtime import checking, credentials, garbage, logs
from services.runtime import config as configuration
from services.runtime.exits import EXIT_CONFIG, refuse
from services.runtime.folder import Folder
from services.runtime.handlers import Function
from services.runtime.manifest import Manifest, find, with_overlays
from services.runtime.notify import Notifier
from services.runtime.reloading import Reloading
from services.runtime.steps import Steps, fault_of, name_of
from services.runtime.threads import Threads
from services.runtime.turn import Batch, Maker
from services.runtime.usage import usage
from services.runtime.work import Work
from signals import __version__
from signals.catalogue import Catalogue
from signals.client import Client
from signals.delivery import Delivery
from signals.envelope import Signal, decode
from signals.errors import LigandError, PressureError
from signals.ids import uuid7
from signals.paths import Paths
from signals.secrecy import ANY

EXIT_STUCK = 75
HEARTBEAT_S = 5.0
DRAIN_S = 10.0
PATIENCE_S = 18.0
"""Within this all of the end has to happen: `TimeoutStopSec` of the units is 20 s."""
BESIDE = 3
"""Threads for what a daemon's own code does beside its loop (`asyncio.to_thread`)."""


class Daemon(Reloading):
    """Register handlers, then `run()`. What needs the bus or the configuration is there once it runs."""

    catalogue: Catalogue

    def __init__(self, name: str, *, manifest: Path | None = None, instance: str | None = None) -> None:
        """A daemon called `name`; its manifest is in its room, or the user's, unless given."""
        super().__init__()
        self.daemon = name
        self.name = f"{name}@{instance}" if instance else name
        self.instance = instance
        self.state: dict[str, Any] = {}
        self.state_changed = asyncio.Event()
        """Set whenever `state` has changed; who waits for it clears it."""
        self._manifest_path = manifest
        self._client: Client
        self._folder: Folder
        self._work: Work
        self._maker: Maker
        self._folder_told = ""
        self._notifier = Notifier({})  # tells nobody, until the daemon runs
        self._stop: asyncio.Event
        self._steps = Steps()
        self._has_begun = False
        self._exit = 0

    # -- what a daemon's author uses -----------------------------------------------------------------

    async def emit(
        self,
        name: str,
        facts: Mapping[str, Any] | None = None,
        /,
        *,
        key: str | None = None,
        because: Iterable[Signal] = (),
        taint: Iterable[str] = (),
        expires_at: str | None = None,
        **named: Any,
    ) -> Signal:
        """Emit outside handlers; on disk when it returns. A `key` makes a repeated emit the same signal.

        Raises `SchemaError`, `ConflictError` (the key stands for other content), `PressureError`.
        """
        async with self.batch() as emit:
            return emit(name, facts, key=key, because=because, taint=taint, expires_at=expires_at, **named)

    @asynccontextmanager
    async def batch(self, put: Mapping[str, Any] | None = None) -> AsyncIterator[Callable[..., Signal]]:
        """Emit several signals outside handlers, all or none, with state to keep; on disk at the end."""
        batch = Batch(self._maker)
        yield batch.emit
        if batch.signals or put:
            await self._client.emit(batch.signals, put)
            self._keep(put or {})

    def emit_live(self, name: str, facts: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """Send a live signal; nobody waits for it."""
        self._client.emit_live([self._maker.make(name, facts, named, uuid7())])

    @property
    def is_attached(self) -> bool:
        """Whether the bus is there just now: an emit would not have to wait for it."""
        return self._client.is_attached

    @property
    def state_dir(self) -> Path:
        """The folder that is this daemon's alone. From now on its signals wait while that cannot be used."""
        self._folder.is_used = True
        return self._folder.path

    def credential(self, name: str) -> str:
        """A secret that the unit was given by `LoadCredential=`. Raises `ConfigError` when there is none."""
        return credentials.read(name, self.name, self.paths)

    def status(self, message: str, *, degraded: bool = False) -> None:
        """Say in one line how it fares: for `systemctl status`, `ligand status` and the heartbeat."""
        self._standing.message, self._standing.degraded = message, degraded
        self._show()

    def run(self) -> NoReturn:
        """Run until SIGTERM, then exit: 0, or 78 when a person has to mend something first."""
        if checking.FLAG in sys.argv[1:]:
            checking.check((self._read, *self._checks))
        try:
            self._prepare()
        except LigandError as error:
            refuse(self.name, error)
        asyncio.run(self._main())
        sys.exit(self._exit)

    # -- life ----------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Everything that a person may have written: contracts, manifests, configuration."""
        self.paths = Paths.resolve()
        self._folder = self._standing.folder = Folder(self.paths.state_of(self.name))
        self.catalogue = Catalogue.load([self.paths.contracts])
        path = self._manifest_path or find(self.daemon, self.paths.manifests)
        self.manifest = with_overlays(Manifest.load(path), self.paths.manifests)
        if self.instance:
            self.manifest = self.manifest.instance(self.instance)
        self.manifest.check(self.catalogue)
        self._hear_of_changes()
        self._handlers.check(self.manifest)
        self.config = self._load_config()

    def _prepare(self) -> None:
        Paths.resolve().ensure_own()
        self._read()
        self._folder.make()
        named = [[step for step in path if step != ANY] for each in self.catalogue.values() for path in each.secrets]
        secrets = [names[-1] for names in named if names]
        self.log = logs.configure(self.name, level=self.config["log_level"], secrets=secrets)
        self._notifier = Notifier()
        host = socket.gethostname() or "localhost"
        self._maker = Maker(self.name, host, self.catalogue, self.manifest.may_emit)

    def _load_config(self) -> dict[str, Any]:
        return configuration.load(self.paths.config_of(self.name), self.manifest.config, daemon=self.name)

    async def _main(self) -> None:
        asyncio.get_running_loop().set_default_executor(beside := Threads(BESIDE, "beside"))
        self._stop = asyncio.Event()
        self._one_reload = asyncio.Lock()
        self._started = time.monotonic()
        self._client = Client(self.name, self.paths.bus_socket, self, lanes=self.manifest.lanes, version=__version__)
        self._work = Work(
            self._client,
            self._handlers,
            maker=self._maker,
            catalogue=self.catalogue,
            log=self.log,
            lanes=dict(self.manifest.lanes),
            folder=self._folder,
            max_handling_s=self.manifest.max_handling_s,
            state=self._keep,
            stuck=self._give_up,
        )
        self._catch_signals()
        tasks = [asyncio.create_task(self._beat())]
        try:
            if await self._start():
                tasks += [asyncio.create_task(self._repeat(*one), name=name_of(one[1])) for one in self._periodic]
                tasks += [asyncio.create_task(garbage.collect_for_ever())]
                garbage.begin()
                if await self._steps.unless(self._stop, self._announce()):
                    self._work.open()
                    await self._until_stopped(tasks)
        finally:
            until = time.monotonic() + PATIENCE_S
            await self._end(tasks, until)
        if not await beside.end(until) or self._work.is_stuck() or self._steps.are_stuck:
            sys.stderr.flush()
            os._exit(self._exit)  # it cannot be ended otherwise, and Python would wait for it

    async def _start(self) -> bool:
        """Attach and start; False when told to stop before that was done."""
        self._notifier.status(f"waiting for the bus at {self.paths.bus_socket}")
        try:
            if not await self._steps.unless(self._stop, self._client.attach()):
                return False
            self.state = dict(self._client.state)
            self._has_begun = True
            return await self._steps.unless(self._stop, self._begin())
        except LigandError as error:
            self.log.error("cannot_start", error=error.message)
            self._exit = 1 if isinstance(error, PressureError) else EXIT_CONFIG  # the pressure ends by itself
            return False

    async def _begin(self) -> None:
        for start in self._starts:
            await start()

    async def _announce(self) -> None:
        self._standing.work()
        facts = {"daemon": self.name, "version": __version__, "pid": os.getpid()}
        await self._say("Q_DAEMON_READY", facts)
        self._notifier.ready(self._standing.line or "ready")
        self.log.info("ready", in_seconds=round(time.monotonic() - self._started, 3))
        self._heartbeat()

    def _show(self) -> None:
        self._standing.reconsider()
        self._notifier.status(self._standing.line or "ready")

    async def _until_stopped(self, tasks: list[asyncio.Task[None]]) -> None:
        """Until told to stop; a periodic task that fails takes the daemon down, for a restart."""
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({stop, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        for task in tasks:
            if task.done() and (error := fault_of(task)) is not None:
                self.log.error("task_failed", task=task.get_name(), error=repr(error), exc_info=error)
                self._exit = 1

    async def _end(self, tasks: list[asyncio.Task[None]], until: float) -> None:
        self._standing.word = "stopping"
        self._notifier.stopping()
        self._client.beat(stopping=True)
        await self._steps.cancel(*tasks[1:])
        await self._work.close(DRAIN_S if self._client.is_attached else 0.0)
        stops = self._stops if self._has_begun else ()
        if not await self._steps.last(stops, until, self.log, lambda: self._client.is_attached):
            self._exit = self._exit or 1
        if self._client.is_attached:
            await self._say_goodbye()
        tasks[0].cancel()
        self.log.info("stopped", handled=self._work.handled, failed=self._work.failed)

    async def _say_goodbye(self) -> None:
        facts = {"daemon": self.name, "version": __version__, "pid": os.getpid()}
        try:
            async with asyncio.timeout(2.0):
                await self._say("Q_DAEMON_STOPPING", facts)
                await self._client.detach()
        except (TimeoutError, LigandError) as error:
            self.log.warning("goodbye_unheard", error=repr(error))

    async def _say(self, name: str, facts: Mapping[str, Any]) -> None:
        """Tell of the daemon itself; a journal under pressure does not keep it from its work."""
        try:
            await self.emit(name, facts)
        except PressureError as error:
            self.log.warning("not_told", signal_name=name, error=error.message)

    def _give_up(self, why: str) -> None:
        """A handler is stuck: end the process, to be restarted."""
        self.log.error("giving_up", error=why)
        self._exit = EXIT_STUCK
        self._stop.set()

    # -- operating system signals --------------------------------------------------------------------

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (os_signal.SIGTERM, os_signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(os_signal.SIGHUP, self._want_reload)

    # -- periodic ------------------------------------------------------------------------------------

    async def _repeat(self, seconds: float, function: Function) -> None:
        while True:
            try:
                await function()
            except PressureError as error:
                self.log.warning("put_off", task=name_of(function), error=error.message)
            await asyncio.sleep(seconds)

    async def _beat(self) -> None:
        """Feed the watchdog from this loop, which is the one that works; every 5 s say how it fares."""
        interval = self._notifier.watchdog_interval_s
        due = 0.0
        while True:
            if interval is not None:
                self._notifier.watchdog()
            if self._folder_changed():
                due = 0.0
            if time.monotonic() >= due:
                due = time.monotonic() + HEARTBEAT_S
                self._heartbeat()
            left = max(0.0, due - time.monotonic())
            await asyncio.sleep(left if interval is None else min(interval, left))

    def _folder_changed(self) -> bool:
        """Say what has become of the folder of its files since it was last said."""
        found = self._folder.look()
        if found == self._folder_told:
            return False
        self._folder_told = found
        if found:
            self.log.error("folder_lost", trouble=found)
        else:
            self.log.info("folder_back", path=str(self._folder.path))
        self._show()
        return True

    def _heartbeat(self) -> None:
        self.emit_live("Q_HEARTBEAT", self._health())
        self._client.beat()  # right behind it: the bus wakes once for both

    def _health(self) -> dict[str, Any]:
        return {
            "daemon": self.name,
            "uptime_s": round(time.monotonic() - self._started, 3),
            "handled": self._work.handled,
            "failed": self._work.failed,
            "in_flight": self._work.in_hand,
            **usage(),
            "state": self._standing.word,
            "message": self._standing.line[:500],
            "interval_s": HEARTBEAT_S,
        }

    # -- what the bus says (signals.delivery.Receiver) -------------------------------------------------

    def delivered(self, delivery: Delivery) -> None:
        """A signal came."""
        self._work.add(delivery)

    def withdrawn(self, lane: str, seq: int) -> None:
        """A signal was taken back."""
        self._work.withdraw(lane, seq)

    def heard(self, raw: bytes) -> None:
        """A live signal came."""
        found = decode(raw)
        handler = self._handlers.live.get(found.signal)
        if handler is None:
            return
        try:
            handler(found)
        except Exception as error:
            self.log.error("live_handler_failed", signal_name=found.signal, error=repr(error), exc_info=error)

    def attached(self) -> None:
        """The bus is there (again)."""
        for gone in self.state.keys() - self._client.state.keys():  # as after a restore
            del self.state[gone]
        self.state.update(self._client.state)
        self.state_changed.set()
        if self._standing.word == "waiting":
            self._standing.work()
            self.log.info("attached_again", epoch=self._client.epoch)
            self._show()
            self._heartbeat()

    def detached(self) -> None:
        """The bus is gone; what is in hand goes on."""
        self.log.warning("bus_away", in_hand=self._work.in_hand)
        if self._standing.is_at_work:
            self._standing.word = "waiting"
        self._notifier.status("the bus is away; attaching again when it is back")

    def ended(self, error: LigandError) -> None:
        """Another process took this daemon's place, or the bus does not want it."""
        self.log.error("session_ended", code=error.code, error=error.message)
        self._exit = EXIT_CONFIG
        self._stop.set()

    def _keep(self, puts: Mapping[str, Any]) -> None:
        for key, value in puts.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value
        if puts:
            self.state_changed.set()
