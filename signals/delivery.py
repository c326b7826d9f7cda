"""What a daemon's connection hands on: a signal that is in hand, and who hears of it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import orjson

from signals.envelope import Signal, decode
from signals.errors import LigandError


class Delivery(NamedTuple):
    """A signal given to a lane. `generation` rises with each failed attempt or replay; `raw` is its envelope."""

    lane: str
    seq: int
    raw: bytes
    attempt: int = 1
    generation: int = 0
    redelivered: bool = False

    def signal(self) -> Signal:
        """The signal itself."""
        return decode(self.raw)

    @property
    def id(self) -> str:
        """Its id: after a restore another signal may have its `seq`."""
        return str(orjson.loads(self.raw)["id"])


class Receiver(Protocol):
    """Who hears what the bus sends by itself."""

    def delivered(self, delivery: Delivery) -> None:
        """A signal is in hand until it is settled."""

    def withdrawn(self, lane: str, seq: int) -> None:
        """A signal is no longer in hand: its deadline has passed, or it was settled already."""

    def heard(self, raw: bytes) -> None:
        """A live signal."""

    def attached(self) -> None:
        """Attached (again)."""

    def detached(self) -> None:
        """The bus is gone; the client attaches again by itself."""

    def ended(self, error: LigandError) -> None:
        """This session is over for good: fenced, or refused."""
