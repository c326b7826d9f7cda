"""When a unit that ended starts again: the table of systemd.service(5), `Restart=`."""

from __future__ import annotations

import math
import signal
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from services.runtime.exits import EXIT_CONFIG
from tools.ligand.units import Unit

_CLEAN = {0, -signal.SIGHUP, -signal.SIGINT, -signal.SIGTERM, -signal.SIGPIPE}
MEANINGS = {
    EXIT_CONFIG: "a person has to look first: its last lines say why",
    203: "its program could not be executed",
}
"""What an exit status says, in words."""


class Result(StrEnum):
    """How a run of a unit ended."""

    SUCCESS = "success"
    EXIT = "exit-code"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    WATCHDOG = "watchdog"
    PROTOCOL = "protocol"


_FAILURES = frozenset(Result) - {Result.SUCCESS}
_AGAIN: dict[str, frozenset[Result]] = {
    "no": frozenset(),
    "always": frozenset(Result),
    "on-success": frozenset({Result.SUCCESS}),
    "on-failure": _FAILURES,
    "on-abnormal": frozenset({Result.SIGNAL, Result.TIMEOUT, Result.WATCHDOG}),
    "on-abort": frozenset({Result.SIGNAL}),
    "on-watchdog": frozenset({Result.WATCHDOG}),
}


@dataclass(frozen=True)
class End:
    """The end of one run. `status` is the exit code, negative for the signal that killed it."""

    status: int
    result: Result

    def words(self) -> str:
        """What happened, for a person."""
        if self.result is Result.WATCHDOG:
            return "killed: it did not feed its watchdog"
        if self.result is Result.TIMEOUT:
            return "killed: it was not ready in time"
        if self.status < 0:
            return f"killed by {_signal_name(-self.status)}"
        early = " before it was ready" if self.result is Result.PROTOCOL else ""
        meaning = f" ({MEANINGS[self.status]})" if self.status in MEANINGS else ""
        return f"ended with status {self.status}{early}{meaning}"


def judge(status: int, *, was_ready: bool, cause: Result | None) -> End:
    """The end for an exit status, with what the supervisor itself did to it as `cause`."""
    if cause is not None:
        return End(status, cause)
    if status in _CLEAN:
        return End(status, Result.SUCCESS if was_ready else Result.PROTOCOL)
    return End(status, Result.EXIT if status > 0 else Result.SIGNAL)


def starts_again(unit: Unit, end: End) -> bool:
    """Whether `Restart=` and `RestartPreventExitStatus=` let the unit start again."""
    return end.status not in unit.prevent and end.result in _AGAIN[unit.restart]


class StartLimit:
    """`StartLimitIntervalSec=` and `StartLimitBurst=`; an interval of 0 means no limit."""

    def __init__(self, interval_s: float, burst: int) -> None:
        self._interval_s = interval_s
        self._burst = burst
        self._starts: deque[float] = deque(maxlen=max(burst, 1))

    def allows(self, now: float) -> bool:
        """Count a start at `now` (seconds, monotonic); False when it would be one too many."""
        if not self._interval_s or not self._burst:
            return True
        full = len(self._starts) == self._burst
        if full and (self._interval_s == math.inf or now - self._starts[0] < self._interval_s):
            return False
        self._starts.append(now)
        return True


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"
