"""A home with items that daemons hand on, and one that fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.constellation import Constellation, constellation

FAILING = Path(__file__).parents[2] / "support" / "failing.py"
ITEM = {"n": {"type": "integer"}, "pad": {"type": "string"}}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Constellation]:
    """A bus with two contracts of the user, one of which holds a secret, and a daemon's manifest."""
    with constellation(tmp_path) as found:
        for name in ("Q_ITEM_START", "Q_ITEM_DONE"):
            found.contract(name, ITEM, example={"n": 1, "pad": ""})
        found.contract(
            "Q_KEY_ADDED",
            {"token": {"type": "string", "x-secret": True}, "who": {"type": "string"}, "n": {"type": "integer"}},
            example={"token": "t", "who": "w"},
            optional=["n"],
        )
        found.manifest("link", consumes=["Q_ITEM_START"], emits=["Q_ITEM_DONE"])
        found.bus()
        yield found


def emit(home: Constellation, *pads: str) -> list[int]:
    """Emit an item each; their sequence numbers."""
    with home.emitter() as emitter:
        return emitter.emit(*(emitter.signal("Q_ITEM_START", {"n": n, "pad": pad}) for n, pad in enumerate(pads)))


def link(home: Constellation) -> None:
    """Start the daemon that hands items on and rejects the bad ones."""
    home.script("link", FAILING, "link", "Q_ITEM_START", "Q_ITEM_DONE").ready()
