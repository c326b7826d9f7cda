"""The bus's running time: seconds it has been up in all, so that deadlines stand still while it is down."""

from __future__ import annotations

import time


class RunningClock:
    """Monotonic seconds on top of what earlier runs have counted."""

    def __init__(self, base: float) -> None:
        self._base = base - time.monotonic()

    def now(self) -> float:
        """Seconds of running time."""
        return self._base + time.monotonic()
