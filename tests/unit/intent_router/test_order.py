"""A backlog streams through by priority and age, and what is urgent does not wait behind it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.intent_router import watch, work
from services.intent_router.arrivals import Arrivals, Hint
from services.intent_router.folder import Folder
from services.intent_router.logic import Outgoing
from signals.ids import uuid7
from tests.unit.intent_router.rig import Rig, intent

BACKLOG = 4464  # a tenth of what once waited before a router that was too slow


def test_a_backlog_is_routed_once_each_and_a_critical_file_overtakes_it(tmp_path: Path) -> None:
    """An urgent question would be answered after thousands that are not."""
    rig = Rig(tmp_path / "intents", settle_s=0.05)
    for number in range(BACKLOG):
        (rig.root / f"{number}.json").write_text(intent(f"Question {number}?", priority="low"))

    async def scenario() -> None:
        async with rig.running():
            await rig.changes.until(lambda: rig.work.counts.routed >= 200)
            (rig.root / "urgent.json").write_text(intent("Is it burning?", priority="critical"))
            await rig.routed(BACKLOG + 1)

    asyncio.run(scenario())
    questions = rig.bus.questions()
    assert len(questions) == len(set(questions)) == BACKLOG + 1
    assert rig.bus.sent == BACKLOG + 1
    assert questions.index("Is it burning?") < 1500
    assert rig.standing("working") == []
    assert len(rig.standing("done")) == BACKLOG + 1


def test_no_more_files_are_in_hand_than_configured(tmp_path: Path) -> None:
    """All of a backlog would be claimed at once, and be beyond a person's reach."""
    rig = Rig(tmp_path / "intents", settle_s=0.05, in_flight=8)
    in_hand: list[int] = []
    rig.bus.before = lambda plan: in_hand.append(len(list(rig.folder.working.iterdir())))
    for number in range(100):
        (rig.root / f"{number}.txt").write_text("Why?")

    async def scenario() -> None:
        async with rig.running():
            await rig.routed(100)

    asyncio.run(scenario())
    assert max(in_hand) <= 8


def test_higher_priority_goes_first_and_the_oldest_within_one(tmp_path: Path) -> None:
    """The order would be that of the directory, which is none."""
    folder = Folder(tmp_path, uuid7)
    folder.ensure()
    arrivals = Arrivals(folder, 0.0, lambda action, name: None)
    old = {"intent_type": "curiosity_x", "priority": 7, "reason": "?", "data": {"priority": "low"}}
    files = {
        "d-normal-young": (intent(), 300),
        "c-normal-old": (intent(), 100),
        "b-low": (intent(priority="low"), 1),
        "a-text": ("Why?", 200),
        "e-broken": ("{", 50),
        "f-high": (intent(priority="high"), 400),
        "g-critical": (json.dumps(old), 500),
    }
    for name, (text, at) in files.items():
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (at, at))
        arrivals.examine(name, Hint.CLOSED)
    arrivals.resume("of an earlier run")
    order = [
        "of an earlier run",
        "g-critical",
        "f-high",
        "e-broken",
        "c-normal-old",
        "a-text",
        "d-normal-young",
        "b-low",
    ]
    assert [item.name for item in asyncio.run(arrivals.take(100))] == order


def test_a_file_is_heard_of_while_many_others_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An urgent question would wait until a whole backlog has been looked through."""
    monkeypatch.setattr(watch, "PAGE", 2)
    rig = Rig(tmp_path / "intents", settle_s=0.0)
    for number in range(12):
        (rig.root / f"{number}.txt").write_text("Why?")
        rig.arrivals.settle(f"{number}.txt")
    settled = rig.arrivals.settled
    known: list[bool] = []

    def page(most: int) -> bool:
        if not known:
            (rig.root / "urgent.json").write_text(intent("Is it burning?", priority="critical"))
        known.append(rig.arrivals.knows("urgent.json"))
        return settled(most)

    monkeypatch.setattr(rig.arrivals, "settled", page)

    async def scenario() -> None:
        watching = asyncio.create_task(rig.watcher.run())
        await rig.watcher.scanned.wait()
        watching.cancel()

    asyncio.run(scenario())
    assert len(known) > 4
    assert known[4]


def test_what_goes_together_fits_into_a_request_of_the_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A route with many signals, or large files, would have a whole group refused."""
    monkeypatch.setattr(work, "MAX_REQUEST_SIGNALS", 5)
    rig = Rig(tmp_path / "intents")
    sizes: list[int] = []
    send = rig.bus.__call__

    async def sending(plans: Sequence[Sequence[Outgoing]]) -> None:
        sizes.append(sum(map(len, plans)))
        await send(plans)

    monkeypatch.setattr(rig.work, "_send", sending)
    for number in range(5):
        (rig.root / f"{number}.txt").write_text(f"Why {number}?")
        rig.arrivals.examine(f"{number}.txt", Hint.CLOSED)

    async def scenario() -> None:
        await rig.work.handle(await rig.arrivals.take(5))

    asyncio.run(scenario())
    assert sizes == [4, 4, 2]
    assert rig.standing("done") == [f"{number}.txt" for number in range(5)]
