"""A home whose items are eaten, and what a test asks of a bus that keeps house in this process."""

from __future__ import annotations

from typing import Any

import orjson

from signals import wire
from tests.support.constellation import Constellation
from tests.support.inprocess import InProcess

ITEM = {"n": {"type": "integer"}, "pad": {"type": "string"}}


def furnish(home: Constellation) -> None:
    """Two who take items, one of whom hands them on, and one who waits for what never comes."""
    for name in ("Q_ITEM_SEEN", "Q_ITEM_DONE", "Q_ITEM_RARE"):
        home.contract(name, ITEM, example={"n": 1, "pad": ""})
    home.manifest("eater", consumes=["Q_ITEM_SEEN"], emits=["Q_ITEM_DONE"])
    home.manifest("other", consumes=["Q_ITEM_SEEN"])
    home.manifest("idle", consumes=["Q_ITEM_RARE"])


def lines(home: Constellation) -> list[dict[str, Any]]:
    """The dead-letter file."""
    return [orjson.loads(line) for line in home.paths.dead_letters.read_bytes().splitlines()]


def emit(bus: InProcess, *numbers: int, pad: str = "") -> list[int]:
    """Items in one batch; their places in the order."""
    return bus.emit(*(bus.make("person@root", "Q_ITEM_SEEN", {"n": n, "pad": pad}) for n in numbers))


def reject(bus: InProcess, n: int) -> None:
    """An item that its eater gives up."""
    emit(bus, n, pad="x" * 5000)
    bus.settle("eater", bus.one("eater"), verdict=wire.REJECT, error="no")


def keep_house(bus: InProcess, turns: int = 1, what: str = "prune") -> None:
    """A second passes: what is kept is looked after."""
    for _ in range(turns):
        bus.housekeeping.due_now(what)
        bus.housekeeping.step()
        bus.turn()


def fill(bus: InProcess, count: int, size: int = 4000) -> None:
    """Items, one after the other, the house kept after each."""
    for n in range(count):
        emit(bus, n, pad="x" * size)
        keep_house(bus)
