"""The bus's running time: seconds it has been up in all, so that deadlines stand still while it is down."""

from __future__ import annotations

import time

SURE_AFTER_S = 3600.0
STEP_S = 60.0


class RunningClock:
    """Monotonic seconds on top of what earlier runs have counted."""

    def __init__(self, base: float) -> None:
        self._base = base - time.monotonic()

    def now(self) -> float:
        """Seconds of running time."""
        return self._base + time.monotonic()


class WallClock:
    """Whether the time of day can be believed: not for an hour after a start, or after it was set.

    What is forgotten by age is gone; a machine whose battery is empty may start in any year, until the network tells
    it the time.
    """

    def __init__(self) -> None:
        self._offset = _offset()
        self._since = time.monotonic()
        self._was_set = False

    def is_sure(self) -> bool:
        """Whether it has gone evenly for an hour."""
        self._look()
        return time.monotonic() - self._since >= SURE_AFTER_S

    def was_set(self) -> bool:
        """Whether it was set since this was last asked."""
        self._look()
        found, self._was_set = self._was_set, False
        return found

    def _look(self) -> None:
        offset = _offset()
        if abs(offset - self._offset) > STEP_S:
            self._since, self._was_set = time.monotonic(), True
        self._offset = offset


def _offset() -> float:
    """How far the time of day is from the time since the boot, in which a sleep of the machine counts too."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
