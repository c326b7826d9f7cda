"""What a rule is, and what is decided by it: plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from services.policy_engine.expressions import Expression

MAX_SEEN = 512
"""Characters; what was seen of a signal is kept with each condition, and the signal itself is in the journal."""


class Outcome(StrEnum):
    """How one evaluation of one rule ended."""

    FIRED = "fired"
    WOULD_FIRE = "would_fire"
    NO_MATCH = "no_match"
    COUNTING = "counting"
    ARMED = "armed"
    SUPPRESSED = "suppressed"
    LIMITED = "limited"
    ERROR = "error"
    ASKED = "asked"


TOLD = frozenset({Outcome.FIRED, Outcome.WOULD_FIRE, Outcome.SUPPRESSED, Outcome.LIMITED, Outcome.ERROR})
"""The outcomes that are said on the bus; all of them are kept in the engine's own history."""


@dataclass(frozen=True, slots=True)
class Action:
    """One `emit`: a fact is a value, or an expression. `optional` facts are left out when they have no value."""

    signal: str
    facts: Mapping[str, Any]
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Count:
    """`at_least` times `within` seconds; of different values only, if `distinct` is given."""

    at_least: int
    within: float
    distinct: Expression | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """Fires when no `signal` that meets `where` comes `within` seconds."""

    signal: str
    within: float
    where: Expression | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `max` firings of the rule `per` seconds, all keys together."""

    max: int
    per: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What a model is asked: a question, and the actions it may choose among. `deadline` in seconds."""

    question: str
    actions: Mapping[str, tuple[str, tuple[Action, ...]]]
    deadline: float = 120.0
    history: int = 10


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; durations in seconds. `line` is where it stands in `file`."""

    id: str
    signals: tuple[str, ...]
    mode: str
    when: tuple[tuple[str, Expression], ...] = ()
    key: Expression | None = None
    hold: float = 0.0
    cooldown: float = 0.0
    limit: Limit | None = None
    count: Count | None = None
    absent: Absent | None = None
    do: tuple[Action, ...] = ()
    choose: Choice | None = None
    examples: tuple[Mapping[str, Any], ...] = ()
    about: str = ""
    file: str = ""
    line: int = 0

    @property
    def emits(self) -> frozenset[str]:
        """Every signal it may emit."""
        chosen = (action for _, actions in self.choose.actions.values() for action in actions) if self.choose else ()
        return frozenset(action.signal for action in (*self.do, *chosen))

    @property
    def wait(self) -> float:
        """Seconds that it waits before it fires; 0 for one that fires at once."""
        return self.hold or (self.absent.within if self.absent else 0.0)

    @property
    def reach(self) -> float:
        """Seconds after which nothing of the past bears on it."""
        spans = (self.cooldown, self.hold, self.limit.per if self.limit else 0.0)
        return sum(spans) + (self.count.within if self.count else 0.0) + (self.absent.within if self.absent else 0.0)


@dataclass(frozen=True, slots=True)
class Trace:
    """One condition of one evaluation: its value, or why it has none, and the facts that it saw."""

    name: str
    expression: str
    value: Any = None
    error: str | None = None
    seen: Mapping[str, Any] = field(default_factory=dict)

    def words(self) -> str:
        """The condition and what it came to, for a person."""
        saw = ", ".join(f"{path.removeprefix('event.')} is {shown(value)}" for path, value in self.seen.items())
        came = f"could not be told: {self.error}" if self.error else str(self.value).lower()
        return f"{self.name}: {self.expression} is {came}" + (f" ({saw})" if saw else "")


@dataclass(frozen=True, slots=True)
class Decision:
    """What one evaluation of one rule came to, and why. `at` is Unix time by the journal's clock, in seconds.

    `actions` are the signals to emit, or that a shadow rule would have; `due` names the timer that it waits for, or
    that it follows from; `causes` are the ids it rests on, the triggering signal first. `again` says that the same
    was told on the bus before.
    """

    rule: str
    outcome: Outcome
    signal: str
    signal_id: str
    at: float
    key: str = ""
    traces: tuple[Trace, ...] = ()
    because: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    actions: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    due: str | None = None
    causes: tuple[str, ...] = ()
    model: str | None = None
    by: str = "rules"
    again: bool = False
    file: str = ""
    line: int = 0

    @property
    def is_told(self) -> bool:
        """Whether it is said on the bus."""
        return self.outcome in TOLD and not self.again

    def as_json(self) -> dict[str, Any]:
        """The decision as JSON data; `of_json` reads it back."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return found | {"traces": [{name: getattr(one, name) for name in one.__slots__} for one in self.traces]}

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> Decision:
        """The decision that `as_json` wrote."""
        traces = tuple(Trace(**trace) for trace in found["traces"])
        actions = tuple((signal, facts) for signal, facts in found["actions"])
        plain = {key: tuple(found[key]) for key in ("because", "needed", "causes")}
        return cls(**{**found, **plain, "traces": traces, "actions": actions, "outcome": Outcome(found["outcome"])})


def brief(value: Any) -> Any:
    """A value as a decision keeps it: whole, or the beginning of its text where that is long."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else str(value)
    return value if len(text) <= MAX_SEEN else f"{text[:MAX_SEEN]}…"


def shown(value: Any) -> str:
    """A value in a sentence, cut where it is long."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def span(seconds: float) -> str:
    """Seconds in words: `90 s`, `48 min`, `6 h`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
