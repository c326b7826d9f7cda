"""A circuit breaker: a server that fails again and again is left alone for a while, then tried with one request.

After M. T. Nygard, "Release It!": closed, open, half open. Told the time by its caller, in monotonic seconds.
"""

from __future__ import annotations

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"


class Breaker:
    """Opens after `failures` in a row, for `open_s` seconds."""

    def __init__(self, failures: int, open_s: float) -> None:
        self._limit = failures
        self._open_s = open_s
        self._failed = 0
        self._until: float | None = None
        self._trying = False

    def state(self, now: float) -> str:
        """`closed`, `open` or `half_open`."""
        if self._until is None:
            return CLOSED
        return OPEN if now < self._until else HALF_OPEN

    def admits(self, now: float) -> bool:
        """Whether a request may go to the server."""
        state = self.state(now)
        return state == CLOSED or (state == HALF_OPEN and not self._trying)

    def opens_again_in(self, now: float) -> float:
        """Seconds until a request may try it."""
        return max(0.0, (self._until or now) - now)

    def began(self, now: float) -> None:
        """A request goes to the server; while half open it is the only one."""
        self._trying = self.state(now) == HALF_OPEN

    def gave_up(self) -> None:
        """The request ended without telling anything about the server."""
        self._trying = False

    def succeeded(self) -> None:
        """The server did what was asked."""
        self._failed, self._until, self._trying = 0, None, False

    def failed(self, now: float, *, at_once: bool = False) -> None:
        """The server failed; `at_once` opens without counting: it would fail again."""
        self._failed += 1
        if at_once or self._trying or self._failed >= self._limit:
            self._until = now + self._open_s
        self._trying = False
