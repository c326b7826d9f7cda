"""A home with items that daemons hand on, and one that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.commands import tap
from tests.support.constellation import Constellation, constellation

FAILING = Path(__file__).parents[2] / "support" / "failing.py"
ITEM = {"n": {"type": "integer"}, "pad": {"type": "string"}}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Constellation]:
    """A bus with contracts of the user, one of which holds a secret, and a daemon's manifest."""
    with constellation(tmp_path) as found:
        build(found)
        found.bus()
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Constellation]:
    """The same for all tests of a file that leave the bus running and look only at what they emitted."""
    with constellation(tmp_path_factory.mktemp("shared")) as found:
        build(found)
        found.bus()
        yield found


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A bus and a daemon, and what they have done, for all files; one whose tests say more has a `told` of its own."""
    with telling(tmp_path_factory.mktemp("told")) as found:
        yield found


@contextmanager
def telling(folder: Path) -> Iterator[Told]:
    """Three items handed on, one rejected, a secret kept."""
    with constellation(folder) as found:
        build(found)
        found.bus()
        link(found)
        items = emit(found, "one", "Two", "three", "bad \x1b[31m<b>[x]")
        with found.emitter() as emitter:
            (secret,) = emitter.emit(emitter.signal("Q_KEY_ADDED", {"token": "hunter2", "who": "me", "n": 7}))
        found.wait_for("Q_ITEM_DONE", 3)
        found.wait_for("Q_DEAD_LETTER_ADDED")
        yield Told(found, items, secret)


@dataclass(frozen=True)
class Told:
    """A constellation, and the sequence numbers of its items and of its secret."""

    constellation: Constellation
    items: list[int]
    secret: int

    @property
    def home(self) -> Path:
        return self.constellation.home

    def numbers(self, *arguments: str, given: bytes = b"") -> list[int]:
        """The sequence numbers that a verb shows."""
        found = tap(self.home, *arguments, "-o", "json", given=given)
        assert found.err == ""
        return [each["seq"] for each in found.objects]


def build(found: Constellation) -> None:
    for name in ("Q_ITEM_START", "Q_ITEM_DONE", "Q_ITEM_NOTED"):
        found.contract(name, ITEM, example={"n": 1, "pad": ""})
    found.contract(
        "Q_KEY_ADDED",
        {"token": {"type": "string", "x-secret": True}, "who": {"type": "string"}, "n": {"type": "integer"}},
        example={"token": "t", "who": "w"},
        optional=["n"],
    )
    found.config("bus", {"disable": ["advisory_monitor", "policy_engine"]})  # they would be far behind
    found.manifest("link", consumes=["Q_ITEM_START"], emits=["Q_ITEM_DONE"])


def emit(home: Constellation, *pads: str) -> list[int]:
    """Emit an item each; their sequence numbers."""
    with home.emitter() as emitter:
        return emitter.emit(*(emitter.signal("Q_ITEM_START", {"n": n, "pad": pad}) for n, pad in enumerate(pads)))


def link(home: Constellation) -> None:
    """Start the daemon that hands items on and rejects the bad ones."""
    home.script("link", FAILING, "link", "Q_ITEM_START", "Q_ITEM_DONE").ready()


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))

    def monotonic(self) -> float:
        return sum(self.slept)
