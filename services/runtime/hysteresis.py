"""A state that turns only after values have spoken against it for long enough. Pure; time is in any unit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """It turns on when values were at least `on` for `on_after`, and off when they were below `off` for `off_after`."""

    on: float
    on_after: float
    off: float
    off_after: float


@dataclass(slots=True)
class Hysteresis:
    """Follows values; `against_since` is when those began that speak against the present state."""

    is_on: bool = False
    against_since: float | None = None

    def feed(self, t: float, value: float, limits: Limits) -> bool:
        """Whether it turned by the value at `t`, which is later than those before."""
        if not (value < limits.off if self.is_on else value >= limits.on):
            self.against_since = None
            return False
        if self.against_since is None:
            self.against_since = t
        if t - self.against_since < (limits.off_after if self.is_on else limits.on_after):
            return False
        self.turn()
        return True

    def turn(self) -> None:
        """Turn at once."""
        self.is_on, self.against_since = not self.is_on, None
