"""The board: one step for what is said and kept, and nothing lost when the journal takes nothing in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from services.advisory_monitor.board import Board
from services.advisory_monitor.logic import Pace
from services.advisory_monitor.seen import Look, Said, Seen
from signals.errors import LigandError, PressureError, UnauthorisedError
from tests.unit.advisory_monitor.looking import Looking

SAID = {"path": "/a", "change": "created"}
CONFIG = {"once": {"interval_s": 0.0, "deadline_s": 30.0}}


class Once:
    """A check that has one thing to say, ever."""

    pace = Pace()

    def __init__(self) -> None:
        self.looks = 0

    def look(self, now: Look) -> Seen:
        self.looks += 1
        first = self.looks == 1
        return Seen(says=(Said("Q_FILE_CHANGED", SAID, ("cause",)),) if first else (), puts={"n": self.looks})

    def close(self) -> None:
        """Nothing is held."""


class Desk:
    """Stands for the daemon: its state, and a bus that refuses as often as it is told to."""

    def __init__(self, *refusals: LigandError) -> None:
        self.state: dict[str, Any] = {}
        self.told: list[tuple[str, int]] = []
        self.log = structlog.get_logger()
        self._refusals = list(refusals)

    @asynccontextmanager
    async def batch(self, put: Mapping[str, Any] | None = None) -> AsyncIterator[Callable[..., None]]:
        says: list[tuple[str, int]] = []
        yield lambda name, facts, because, taint: says.append((name, len(because)))
        if self._refusals:
            raise self._refusals.pop(0)
        self.told += says
        self.state |= put or {}

    def status(self, message: str, *, degraded: bool = False) -> None:
        self.words = message, degraded


async def turns(desk: Desk, check: Once, until: Callable[[], bool]) -> None:
    board = Board(desk, {"once": check}, CONFIG)  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        while not until():
            await board.turn()
    board.close()


def test_what_a_full_journal_refuses_is_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that happened while the disk was full would never be told."""
    monkeypatch.setattr("services.advisory_monitor.board.PUT_OFF_S", 0.0)
    desk, check = Desk(PressureError(), PressureError()), Once()
    asyncio.run(turns(desk, check, lambda: check.looks > 2))
    assert desk.told == [("Q_FILE_CHANGED", 1)]
    assert desk.state["seen|once|n"] >= 1


def test_a_cause_that_is_gone_does_not_keep_it_from_being_told() -> None:
    """An alert about something long past would end the monitor, again and again."""
    desk, check = Desk(UnauthorisedError()), Once()
    asyncio.run(turns(desk, check, lambda: check.looks > 1))
    assert desk.told == [("Q_FILE_CHANGED", 0)]


def test_what_cannot_be_told_at_all_is_said_and_ends_nothing() -> None:
    """One check with something odd to say would take all the others down."""
    desk, check = Desk(UnauthorisedError(), UnauthorisedError()), Once()
    asyncio.run(turns(desk, check, lambda: check.looks > 1))
    assert desk.told == []
    assert check.looks > 1


def test_without_systemd_units_are_lacking_and_no_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container every start would be an alert, or nobody would know that units are not watched."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    seen = Looking("units", tmp_path).look()
    assert (seen.readings, seen.unseen) == ((), ())
    assert "no D-Bus answers here" in seen.lacking
