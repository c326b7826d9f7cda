"""When what follows is over: after so many signals, at a time, or once nothing came for so long."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tools.cli import NOTHING, OK, TIMED_OUT

GRACE_S = 0.1
"""How long after `until` a signal that arrived before it may still be on its way into the journal."""


@dataclass(slots=True)
class Stop:
    """What was typed about the end, and how far it is. `until_us` is Unix µs; what is None bounds nothing."""

    limit: int | None = None
    until_us: int | None = None
    idle_s: float | None = None
    shown: int = 0
    _last: float = field(default_factory=time.monotonic)

    @property
    def room(self) -> int | None:
        """How many may still be shown."""
        return None if self.limit is None else self.limit - self.shown

    @property
    def full(self) -> bool:
        """Whether as many were shown as were asked for."""
        return self.room is not None and self.room <= 0

    @property
    def late(self) -> bool:
        """Whether what can still come is too late."""
        return self.until_us is not None and time.time() > self.until_us / 1e6 + GRACE_S

    @property
    def silent(self) -> bool:
        """Whether nothing was shown for as long as was said."""
        return self.idle_s is not None and time.monotonic() - self._last >= self.idle_s

    def due(self) -> int | None:
        """The exit code to end with once what there is now has been shown; None to go on.

        Ask before reading: what came while the output was blocked is then read before the end.
        """
        if self.late:
            return OK
        return TIMED_OUT if self.silent else None

    def ends(self, due: int | None, found: int) -> int | None:
        """The exit code to end with, `found` signals having been shown since `due` was asked; None to go on."""
        if due == TIMED_OUT and found:
            return None
        return NOTHING if due == OK and not self.shown else due

    def handed_on(self) -> None:
        """Silence counts from now on: however long the reader took, it was not that nothing came."""
        self._last = time.monotonic()

    def patience_s(self, most_s: float) -> float:
        """How long to wait for the next signal, up to `most_s`; never quite nothing."""
        left = most_s if self.idle_s is None else self._last + self.idle_s - time.monotonic()
        if self.until_us is not None:
            left = min(left, self.until_us / 1e6 + GRACE_S - time.time())
        return min(max(left, 0.001), most_s)
