"""The life of one unit: start, be ready, be watched, end, start again, stop."""

from __future__ import annotations

import asyncio
import math
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from tools.ligand.process import Child
from tools.ligand.rules import End, Result, StartLimit, judge, starts_again
from tools.ligand.units import Unit

LAST_LINES = 20


class State(StrEnum):
    """Where a unit is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    RELOADING = "reloading"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    FAILED = "failed"


class Service:
    """Keeps one unit as its file says. Everything runs in one event loop; nothing polls.

    `spawn(unit, on_line)` starts the program. `show(name, text)` writes a line.
    `changed(service)` is called after each change of state or status.
    """

    def __init__(
        self,
        unit: Unit,
        spawn: Callable[[Unit, Callable[[str], None]], Child],
        show: Callable[[str, str], None],
        changed: Callable[[Service], None],
    ) -> None:
        self.unit = unit
        self.state = State.WAITING
        self.since = _now()
        self.status = ""
        self.restarts = 0
        self.end: End | None = None
        self.failure = ""
        self.killed_at_stop = False
        self.has_been_ready = False
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.settled = asyncio.Event()
        """Set once it has been ready or is over: what comes after it may start."""
        self.over = asyncio.Event()
        self._child: Child | None = None
        self._spawn = spawn
        self._show = show
        self._changed = changed
        self._stop = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._at_limit: Callable[[], None] = self._kill
        self._watchdog: asyncio.TimerHandle | None = None
        self._cause: Result | None = None
        self._was_ready = False
        self._limit = StartLimit(unit.limit_interval_s, unit.limit_burst)

    @property
    def pid(self) -> int | None:
        """The main process, None when there is none."""
        return self._child.pid if self._child is not None else None

    async def run(self, after: Sequence[Service]) -> None:
        """Live until stopped or over. Starts when each of `after` is settled."""
        try:
            for other in after:
                await self._unless_stopped(other.settled.wait())
            while not self._stop.is_set() and await self._once():
                await self._pause()
        finally:
            self._set(State.FAILED if self.failure else State.STOPPED)
            self.settled.set()
            self.over.set()

    async def stop(self) -> None:
        """Ask it to end, kill it when it does not in `TimeoutStopSec`, and wait for its end."""
        self._stop.set()
        self._terminate(self.unit.kill_signal, self.unit.stop_s)
        await self.over.wait()

    def kill(self) -> None:
        """End it at once and for good."""
        self._stop.set()
        if self._child is not None:
            self._child.kill_group()

    def heard(self, fields: dict[str, str]) -> None:
        """Take a message that its main process sent to the notify socket."""
        if "STATUS" in fields and fields["STATUS"] != self.status:
            self.status = fields["STATUS"]
            self._changed(self)
        if fields.get("RELOADING") == "1" and self.state is State.READY:
            self._set(State.RELOADING)
        if fields.get("READY") == "1" and self.state in (State.STARTING, State.RELOADING):
            self._ready()
        if fields.get("STOPPING") == "1" and self.state in (State.READY, State.RELOADING):
            self._leaving(self.unit.stop_s)
        self._extend(fields.get("EXTEND_TIMEOUT_USEC", ""))
        if "WATCHDOG" in fields and self.state in (State.READY, State.RELOADING):
            self._hung() if fields["WATCHDOG"] == "trigger" else self._feed()

    async def _once(self) -> bool:
        """One run of the program; whether another one follows."""
        if not self._limit.allows(asyncio.get_running_loop().time()):
            self.failure = f"started {self.unit.limit_burst} times within {self.unit.limit_interval_s:g} s, not again"
            return False
        self._cause, self._was_ready, self.status = None, False, ""
        self._child = self._spawn(self.unit, self._line)
        self._set(State.STARTING)
        if self.unit.notifies:
            self._limit_to(self.unit.start_s, self._too_slow)
        else:
            self._ready()
        status = await self._child.ended
        self._child = None
        self._disarm()
        return self._judge(judge(status, was_ready=self._was_ready, cause=self._cause))

    def _judge(self, end: End) -> bool:
        self.end = end
        if self._stop.is_set():
            return False
        if starts_again(self.unit, end):
            self.restarts += 1
            self._say(f"{end.words()}; starts again in {self.unit.restart_s:g} s")
            return True
        if end.result is not Result.SUCCESS or end.status in self.unit.prevent:
            self.failure = end.words()
        else:
            self._say(end.words())
        return False

    async def _pause(self) -> None:
        self._set(State.RESTARTING)
        try:
            async with asyncio.timeout(self.unit.restart_s):
                await self._stop.wait()
        except TimeoutError:
            return  # the pause is over and nobody asked to stop

    async def _unless_stopped(self, waiting: Awaitable[object]) -> None:
        tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(self._stop.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _ready(self) -> None:
        self._disarm()
        self._was_ready = self.has_been_ready = True
        self._feed()
        self._set(State.READY)
        self.settled.set()

    def _feed(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog = self._later(self.unit.watchdog_s or math.inf, self._hung)

    def _hung(self) -> None:
        self._cause = Result.WATCHDOG
        self._say(f"has not fed its watchdog for {self.unit.watchdog_s:g} s")
        self._terminate(signal.SIGABRT, self.unit.abort_s)

    def _too_slow(self) -> None:
        self._cause = Result.TIMEOUT
        self._say(f"was not ready within {self.unit.start_s:g} s")
        self._terminate(self.unit.kill_signal, self.unit.stop_s)

    def _terminate(self, number: int, grace_s: float) -> None:
        if self._child is None or (self.state is State.STOPPING and self._cause is not None):
            return
        self._leaving(grace_s)
        self._child.send(number)

    def _leaving(self, grace_s: float) -> None:
        self._disarm()
        self._limit_to(grace_s, self._kill)
        self._set(State.STOPPING)

    def _kill(self) -> None:
        if self._child is not None:
            self.killed_at_stop = self._stop.is_set()
            self._say("does not end, and is killed")
            self._child.kill_group()

    def _later(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle | None:
        return None if seconds == math.inf else asyncio.get_running_loop().call_later(seconds, act)

    def _limit_to(self, seconds: float, act: Callable[[], None]) -> None:
        self._timer, self._at_limit = self._later(seconds, act), act

    def _extend(self, micros: str) -> None:
        """`EXTEND_TIMEOUT_USEC`: a slow start or stop that goes on asks for more time, never for less."""
        if self._timer is None or not micros.isdecimal():
            return
        seconds = int(micros) / 1_000_000
        if asyncio.get_running_loop().time() + seconds > self._timer.when():
            self._timer.cancel()
            self._limit_to(seconds, self._at_limit)

    def _disarm(self) -> None:
        for handle in (self._timer, self._watchdog):
            if handle is not None:
                handle.cancel()
        self._timer = self._watchdog = None

    def _line(self, text: str) -> None:
        self.last_lines.append(text)
        self._show(self.unit.daemon, text)

    def _say(self, text: str) -> None:
        self._show("ligand", f"{self.unit.daemon}: {text}")

    def _set(self, state: State) -> None:
        self.state, self.since = state, _now()
        self._changed(self)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
