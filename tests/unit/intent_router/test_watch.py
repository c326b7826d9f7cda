"""The watch under stress: lost hints, a lost folder, no inotify left."""

from __future__ import annotations

import asyncio
import errno
import shutil
from pathlib import Path
from typing import Any

import pytest
from inotify_simple import Event, INotify, flags

from services.intent_router import watch
from services.intent_router.arrivals import Arrivals, Hint
from services.intent_router.folder import Folder
from signals.ids import uuid7
from tests.unit.intent_router.rig import Rig, intent

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


def test_a_queue_that_really_overflows_loses_nothing(tmp_path: Path) -> None:
    """A burst of files would leave some behind that nobody ever looks at."""
    limit = int(QUEUE.read_text())
    if limit > 100_000:
        pytest.skip(f"this machine queues {limit} events")
    rig = Rig(tmp_path / "intents")
    outside = tmp_path / "x"
    outside.write_text("x")
    heard: list[int] = []
    hear = rig.watcher.hear
    rig.watcher.hear = lambda events: hear([heard.append(event.mask) or event for event in events])  # type: ignore[func-returns-value, method-assign]

    async def scenario() -> None:
        async with rig.running():
            for number in range(limit + 10):  # nothing is read meanwhile: the loop does not run
                inside = rig.root / f".{number % 2}"
                outside.rename(inside)
                inside.rename(outside)
            (rig.root / "a.json").write_text(intent("Lost?"))
            await rig.routed(1)

    asyncio.run(scenario())
    assert any(mask & flags.Q_OVERFLOW for mask in heard)
    assert rig.bus.questions() == ["Lost?"]


def test_an_overflow_is_answered_by_a_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files whose hints were lost would wait for the next sweep."""
    rig = Rig(tmp_path / "intents")
    hear = rig.watcher.hear
    monkeypatch.setattr(rig.watcher, "hear", lambda events: None)

    async def scenario() -> None:
        async with rig.running():
            (rig.root / "a.json").write_text(intent("Lost?"))
            hear([Event(-1, flags.Q_OVERFLOW, 0, "")])
            await rig.routed(1)

    asyncio.run(scenario())


@pytest.mark.parametrize("lose", [shutil.rmtree, lambda folder: folder.rename(folder.with_name("old"))])
def test_a_folder_that_goes_away_is_made_again(tmp_path: Path, lose: Any) -> None:
    """A person who tidies up would have to restart the router."""
    rig = Rig(tmp_path / "intents")

    async def scenario() -> None:
        async with rig.running():
            lose(rig.root)
            async with asyncio.timeout(60):
                while not rig.folder.done.is_dir():
                    await asyncio.sleep(0)
            (rig.root / "a.json").write_text(intent("Still there?"))
            await rig.routed(1)

    asyncio.run(scenario())
    assert rig.bus.questions() == ["Still there?"]


def test_what_a_returned_folder_holds_in_working_is_resumed(tmp_path: Path) -> None:
    """A folder restored from a backup would keep its unfinished files for ever."""
    rig = Rig(tmp_path / "intents")
    other = Rig(tmp_path / "restored")
    (other.root / "a.json").write_text(intent("Unfinished?"))
    other.folder.claim("a.json")

    async def scenario() -> None:
        async with rig.running():
            rig.root.rename(tmp_path / "old")
            other.root.rename(rig.root)
            await rig.routed(1)

    asyncio.run(scenario())
    assert rig.bus.questions() == ["Unfinished?"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
def test_without_inotify_it_sweeps_says_so_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A machine with many watchers would have a router that seems well and sees nothing."""
    rig = Rig(tmp_path / "intents")

    def exhausted(**_: Any) -> Any:
        raise OSError(number, "none left")

    monkeypatch.setattr(watch, "SWEEP_WITHOUT_WATCH_S", 0.02)
    monkeypatch.setattr(watch, "INotify", exhausted)

    async def scenario() -> None:
        async with rig.running():
            (rig.root / "a.json").write_text(intent("Seen?"))
            await rig.routed(1)
            assert "fs.inotify.max_user" in str(rig.blind[0])
            monkeypatch.setattr(watch, "INotify", INotify)
            await rig.changes.until(lambda: rig.blind[-1] is None)
            rig.arrivals.settle_s = 600
            (rig.root / "b.json").write_text(intent("By hint?"))
            await rig.routed(2)

    asyncio.run(scenario())
    assert rig.bus.questions() == ["Seen?", "By hint?"]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def still(tmp_path: Path) -> tuple[Arrivals, Clock, Path]:
    """Arrivals with a clock that the test moves; the wall stays at the file's own time."""
    folder = Folder(tmp_path, uuid7)
    folder.ensure()
    clock = Clock()
    return Arrivals(folder, 2.0, lambda action, name: None, clock=clock, wall=lambda: 0.0), clock, tmp_path


def taken(arrivals: Arrivals) -> list[str]:
    arrivals.settled(100)
    return [item.name for item in arrivals._pop(100)]


def test_a_file_that_grows_waits_until_it_is_unchanged(tmp_path: Path) -> None:
    """A slow writer's file would be taken in the middle of a line."""
    arrivals, clock, root = still(tmp_path)
    (root / "a.txt").write_text("What is")
    arrivals.examine("a.txt", Hint.CREATED)
    clock.now += 1.5
    assert taken(arrivals) == []
    (root / "a.txt").write_text("What is this?")
    clock.now += 1
    assert taken(arrivals) == []
    clock.now += 1.9
    assert taken(arrivals) == []
    clock.now += 0.2
    assert taken(arrivals) == ["a.txt"]


def test_half_an_object_in_an_open_file_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    """A program that pauses for five seconds while writing would have its intent refused."""
    arrivals, clock, root = still(tmp_path)
    (root / "a.json").write_text('{"type": ')
    arrivals.examine("a.json", Hint.CREATED)
    for _ in range(5):
        clock.now += 2.1
        assert taken(arrivals) == []
    clock.now += 30
    assert taken(arrivals) == ["a.json"]


def test_a_writer_that_was_seen_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    """Half a question would be answered because its writer thought for five seconds."""
    arrivals, clock, root = still(tmp_path)
    (root / "a.txt").write_text("Which of my")
    arrivals.examine("a.txt", Hint.WRITTEN)
    for _ in range(13):
        clock.now += 2.1
        assert taken(arrivals) == []
    clock.now += 3
    assert taken(arrivals) == ["a.txt"]


def test_a_file_that_is_opened_again_is_not_taken_before_it_is_closed(tmp_path: Path) -> None:
    """A waiting question that somebody goes on writing would be taken in the middle."""
    arrivals, clock, root = still(tmp_path)
    (root / "a.txt").write_text("Which of my")
    arrivals.examine("a.txt", Hint.CLOSED)
    arrivals.examine("a.txt", Hint.WRITTEN)
    clock.now += 5
    assert taken(arrivals) == []
    arrivals.examine("a.txt", Hint.CLOSED)
    assert taken(arrivals) == ["a.txt"]


def test_a_file_that_goes_away_while_it_settles_is_forgotten(tmp_path: Path) -> None:
    """The router would end, and be started again, because its owner took a file back."""
    arrivals, clock, root = still(tmp_path)
    (root / "a.txt").write_text("Which of my")
    arrivals.examine("a.txt", Hint.WRITTEN)
    (root / "a.txt").unlink()
    clock.now += 5
    assert taken(arrivals) == []
    assert len(arrivals) == 0


def test_after_lost_hints_no_close_is_waited_for(tmp_path: Path) -> None:
    """The close may be what was lost; each overflow would hold files up for half a minute."""
    arrivals, clock, root = still(tmp_path)
    (root / "a.txt").write_text("Why?")
    arrivals.examine("a.txt", Hint.WRITTEN)
    arrivals.forget_writers()
    clock.now += 2.1
    assert taken(arrivals) == ["a.txt"]


def test_a_file_found_long_after_its_last_change_is_finished(tmp_path: Path) -> None:
    """Each restart would hold a backlog back for the settling time."""
    arrivals, _, root = still(tmp_path)
    (root / "a.txt").write_text("Why?")
    arrivals._wall = lambda: (root / "a.txt").stat().st_ctime + 3
    arrivals.examine("a.txt")
    assert taken(arrivals) == ["a.txt"]
