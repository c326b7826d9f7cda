"""When a condition is told: edges with hysteresis, after it held, and again only after a while. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Literal

Severity = Literal["warning", "critical"]
_RANK: Mapping[str | None, int] = {None: 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Bounds:
    """From which values on it is bad (higher is worse; None: never), and how far below them it is well again."""

    warning: float | None
    critical: float | None
    margin: float = 0.0

    def severity(self, value: float, before: Severity | None) -> Severity | None:
        """How bad a value is, when it was `before` so far: what was bad stays so within the margin."""
        if self.critical is not None and value >= self.critical - (self.margin if before == "critical" else 0):
            return "critical"
        if self.warning is not None and value >= self.warning - (self.margin if before else 0):
            return "warning"
        return None

    def bound(self, severity: Severity | None) -> float:
        """The bound that a severity stands for; where all is well, the first one."""
        first, second = self.warning, self.critical
        chosen = second if severity == "critical" or first is None else first
        return chosen if chosen is not None else 0.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: how long bad and well must hold until told, when what lasts is told again, and what has returned."""

    hold_s: float = 60.0
    clear_s: float = 60.0
    repeat_s: float = 6 * 3600.0
    again_s: float = 900.0


class Edge(StrEnum):
    """What is to be told of a condition."""

    RAISED = "raised"
    WORSENED = "worsened"
    REPEATED = "repeated"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Told:
    """What was last told of a condition, to be kept; times in seconds of the wall clock.

    `severity` is the worst since it was raised or repeated, `cleared` whether its end was told too.
    """

    severity: Severity
    since: float
    at: float
    cleared: bool = False

    def as_json(self) -> dict[str, Any]:
        """Itself, to be put."""
        return asdict(self)

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Told:
        """Itself, as it was put; what stands beside it is left out."""
        return cls(kept["severity"], kept["since"], kept["at"], kept["cleared"])


@dataclass(frozen=True, slots=True)
class Pending:
    """What has begun and is not told yet: which edge, and since when by the monotonic clock."""

    edge: Edge
    since: float


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, by the clock that durations are measured with and by the one that stamps."""

    mono: float
    wall: float


@dataclass(frozen=True, slots=True)
class Step:
    """What is kept, what is pending, and what is to be told, if anything."""

    told: Told | None
    pending: Pending | None
    edge: Edge | None = None


def step(told: Told | None, pending: Pending | None, level: Severity | None, now: Moment, pace: Pace) -> Step:
    """The next step of one condition that is at `level` now (None: well)."""
    if told is not None and told.at > now.wall:  # the clock was put back: what was told counts from here
        told = replace(told, at=now.wall)
    if told is None or told.cleared:
        return _while_well(told, pending, level, now, pace)
    return _while_bad(told, pending, level, now, pace)


def _while_well(told: Told | None, pending: Pending | None, level: Severity | None, now: Moment, pace: Pace) -> Step:
    recent = told is not None and now.wall - told.at < pace.again_s
    if level is None:
        return Step(told if recent else None, None)
    pending = _since(pending, Edge.RAISED, now)
    held = now.mono - pending.since
    if held < pace.hold_s or (recent and told is not None and _RANK[level] <= _RANK[told.severity]):
        return Step(told, pending)
    return Step(Told(level, now.wall - held, now.wall), None, Edge.RAISED)


def _while_bad(told: Told, pending: Pending | None, level: Severity | None, now: Moment, pace: Pace) -> Step:
    if level is None:
        pending = _since(pending, Edge.CLEARED, now)
        if now.mono - pending.since < pace.clear_s:
            return Step(told, pending)
        return Step(replace(told, at=now.wall, cleared=True), None, Edge.CLEARED)
    if _RANK[level] > _RANK[told.severity]:
        pending = _since(pending, Edge.WORSENED, now)
        if now.mono - pending.since < pace.hold_s:
            return Step(told, pending)
        return Step(replace(told, severity=level, at=now.wall), None, Edge.WORSENED)
    if now.wall - told.at >= pace.repeat_s:
        return Step(replace(told, severity=level, at=now.wall), None, Edge.REPEATED)
    return Step(told, None)


def _since(pending: Pending | None, edge: Edge, now: Moment) -> Pending:
    return pending if pending is not None and pending.edge is edge else Pending(edge, now.mono)


@dataclass(frozen=True, slots=True)
class Settled:
    """Whether what changes has come to rest: unchanged for `settle_s`, or changing for `at_most_s` already."""

    value: Any
    changed: float
    began: float

    @classmethod
    def of(cls, before: Settled | None, value: Any, mono: float) -> Settled:
        """The next look: begins anew where the value differs from the last, and from nothing where there is none."""
        if before is None:
            return cls(value, mono, mono)
        return before if before.value == value else cls(value, mono, before.began)

    def is_at_rest(self, mono: float, settle_s: float, at_most_s: float) -> bool:
        """Whether one need not wait any longer."""
        return mono - self.changed >= settle_s or mono - self.began >= at_most_s
