"""What the bus keeps of signals, waiting ones and dead ones: plain records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from signals.catalogue import Contract
from signals.ids import pack, unpack


class Cause(NamedTuple):
    """What the bus must know of a signal to compute what follows from it."""

    id: str
    name: str
    source: str
    correlation_id: str
    hops: int
    taint: tuple[str, ...]
    seq: int


@dataclass(slots=True)
class Admitted:
    """A signal that passed every check; `raw` is its whole envelope. `fresh` is False for one journaled before."""

    name: str
    id: str
    source: str
    contract: Contract
    facts: dict[str, Any]
    correlation_id: str
    causation_id: str | None
    hops: int
    taint: tuple[str, ...]
    digest: bytes
    received_us: int
    seq: int = 0
    raw: bytes = b""
    fresh: bool = True
    causation_source: str | None = None

    def as_cause(self) -> Cause:
        """This signal as the cause of another."""
        return Cause(self.id, self.name, self.source, self.correlation_id, self.hops, self.taint, self.seq)


@dataclass(frozen=True, slots=True)
class Aside:
    """A signal that stepped aside for one consumer. `due` is in seconds of the bus's running time."""

    seq: int
    attempts: int = 0
    crashes: int = 0
    suspect: int = 0
    generation: int = 0
    errors_before: int = 0
    due: float = 0.0
    first_failed_at: str | None = None
    error: str | None = None
    traceback: str | None = None
    replayed: int = 0
    envelope: bytes | None = None

    def but(self, **changes: Any) -> Aside:
        """This, with some fields changed."""
        return replace(self, **changes)


@dataclass(slots=True)
class Deadline:
    """A request that expects an answer. Times are in seconds of the bus's running time."""

    seq: int
    id: str
    status: str
    queued_until: float | None
    within_s: float
    delivered: float | None = None
    due: float | None = None
    consumer: str | None = None
    source: str = ""

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> Deadline:
        """As the journal keeps it, and the source of the request."""
        return cls(row[0], unpack(row[1]), *row[2:])

    def to_row(self) -> tuple[Any, ...]:
        """As the journal keeps it."""
        return (
            self.seq,
            pack(self.id),
            self.status,
            self.queued_until,
            self.within_s,
            self.delivered,
            self.due,
            self.consumer,
        )

    def ends(self) -> float | None:
        """When it passes, if nothing comes; None while only delivery can set it."""
        return self.due if self.delivered is not None else self.queued_until


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter; `line` is what the dead-letter file says of it, one JSON object without its newline."""

    number: int
    at_us: int
    reason: str
    daemon: str
    consumer: str | None
    signal: str | None
    seq: int | None
    correlation_id: str | None
    generation: int
    line: bytes
