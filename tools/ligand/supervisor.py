"""Run the units of a constellation in the foreground, as systemd would, until told to stop."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from services.runtime.exits import EXIT_CONFIG
from tools.cli import NOTHING, OK, USAGE
from tools.ligand.board import Board
from tools.ligand.console import Console
from tools.ligand.notify_socket import NotifySocket
from tools.ligand.process import Child
from tools.ligand.service import Service, State
from tools.ligand.unit_syntax import substitute
from tools.ligand.units import Unit


class Supervisor:
    """Starts `units` (in start order) and keeps them up. `run()` returns the exit status."""

    def __init__(self, units: Sequence[Unit], *, run: Path, environment: Mapping[str, str], stream: TextIO) -> None:
        self._environment = environment
        self._stop = asyncio.Event()
        self._console = Console(stream, [unit.daemon for unit in units], self._stop.set)
        self._notify = NotifySocket(run / "up.notify", self._heard)
        self._board = Board(run / "units.json")
        self._services = [Service(unit, self._spawn, self._console.line, self._changed) for unit in units]
        self._board.watch(self._services)
        self._begun = time.monotonic()
        self._was_ready = False
        self._failed_start = False
        self._unready: list[tuple[str, str]] = []
        self._reloads: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Live until a signal, or until a unit cannot start, or until all are over."""
        self._listen()
        lives = asyncio.gather(*(service.run(self._before(service)) for service in self._services))
        stop = asyncio.ensure_future(self._stop.wait())
        either: set[asyncio.Future[Any]] = {lives, stop}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            self._unready = [(one.unit.daemon, _standing(one)) for one in self._services if not one.has_been_ready]
            await self._stop_all()
            await lives
        finally:
            stop.cancel()
            self._close()
        return self._report()

    def _before(self, service: Service) -> list[Service]:
        return [other for other in self._services if other.unit.name in service.unit.after]

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._asked_to_reload)

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._console.say("asked twice: killing what still runs")
            for service in self._services:
                service.kill()
        self._stop.set()

    def _asked_to_reload(self) -> None:
        task = asyncio.ensure_future(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        ready = [service for service in self._services if service.state is State.READY]
        self._console.say(f"reloading {', '.join(service.unit.daemon for service in ready) or 'nothing'}")
        for service in ready:
            for command in service.unit.reload:
                await self._reload_command(service, command)

    async def _reload_command(self, service: Service, command: Sequence[str]) -> None:
        name = service.unit.daemon
        if service.pid is None:
            return
        environment = {**self._environment, "MAINPID": str(service.pid)}
        argv = substitute(list(command), environment)
        child = Child(argv, environment, lambda line: self._console.line(name, line))
        try:
            async with asyncio.timeout(service.unit.start_s):
                status = await asyncio.shield(child.ended)
        except TimeoutError:
            child.kill_group()
            status = await child.ended
        if status:
            self._console.say(f"{name}: reload failed: {' '.join(argv)} ended with status {status}")

    def _spawn(self, unit: Unit, on_line: Callable[[str], None]) -> Child:
        environment = {**self._environment, **dict(unit.environment)}
        if unit.notifies:
            environment["NOTIFY_SOCKET"] = str(self._notify.path)
        if unit.watchdog_s:
            environment["WATCHDOG_USEC"] = str(int(unit.watchdog_s * 1_000_000))
        return Child(substitute(list(unit.argv), environment), environment, on_line)

    def _heard(self, pid: int, fields: dict[str, str]) -> None:
        for service in self._services:
            if service.pid == pid:
                service.heard(fields)

    def _changed(self, service: Service) -> None:
        self._board.changed()
        if service.state is State.FAILED and not self._stop.is_set():
            self._tell_failure(service)
        if not self._was_ready and all(one.state is State.READY for one in self._services):
            self._was_ready = True
            count, spent = len(self._services), time.monotonic() - self._begun
            self._board.write()  # who reads "ready" may ask for the status at once
            self._console.say(f"ready: {count} daemon{'s' * (count != 1)} in {spent:.1f} s")

    def _tell_failure(self, service: Service) -> None:
        what = "has failed" if self._was_ready else "cannot start"
        self._console.say(f"{service.unit.daemon} {what}: {service.failure}")
        if service.last_lines:
            self._console.say("its last lines:")
        for line in service.last_lines:
            self._console.say(f"    {line}")
        if not self._was_ready:
            self._failed_start = True
            self._stop.set()

    async def _stop_all(self) -> None:
        await asyncio.gather(*(self._stop_one(service) for service in self._services))

    async def _stop_one(self, service: Service) -> None:
        """In reverse order: what was started after it has ended first."""
        later = [other for other in self._services if service.unit.name in other.unit.after]
        await asyncio.gather(*(other.over.wait() for other in later))
        if not service.over.is_set() and service.pid is not None:
            self._console.say(f"stopping {service.unit.daemon}")
        await service.stop()

    def _close(self) -> None:
        for service in self._services:
            service.kill()
        self._notify.close()
        with suppress(OSError):  # the home may have been removed meanwhile
            self._board.write()

    def _report(self) -> int:
        failed = [service for service in self._services if service.failure]
        killed = [service.unit.daemon for service in self._services if service.killed_at_stop]
        ended = sum(service.end is not None and not service.failure for service in self._services)
        start_hangs = any(one.restarts for one in self._services if not one.has_been_ready)
        self._tell_unready()
        words = f"stopped: {ended} daemon{'s' * (ended != 1)}"
        words += f"; killed because they did not end: {', '.join(killed)}" if killed else ""
        words += f"; failed: {', '.join(service.unit.daemon for service in failed)}" if failed else ""
        self._console.say(words)
        if not self._failed_start and not start_hangs and (not failed or self._stop.is_set()):
            return OK
        unusable = any(service.end is not None and service.end.status == EXIT_CONFIG for service in failed)
        return USAGE if unusable else NOTHING

    def _tell_unready(self) -> None:
        """Who was never ready, and what to do."""
        if not self._unready:
            return
        names = [name for name, _ in self._unready]
        ready = [service.unit.daemon for service in self._services if service.has_been_ready]
        self._console.say(f"ready: {', '.join(ready) or 'none'}")
        self._console.say(f"never ready: {', '.join(f'{name} ({standing})' for name, standing in self._unready)}")
        self._console.say(
            f"what they said stands above; to look closer: `ligand up --only {names[0]}`, `ligand config check`, "
            "`ligand doctor`"
        )


def _standing(service: Service) -> str:
    """Why a unit is not ready, as far as it is known."""
    found = service.failure or service.status or service.state.value
    again = f"; started again {service.restarts} time{'s' * (service.restarts != 1)}" if service.restarts else ""
    return f"{found}{again}"
