"""A waiting file is read once, when it is looked at for its priority; whatever changes it before its claim counts."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.intent_router import arrivals, folder
from services.intent_router.arrivals import CLEAN_S, Hint
from services.intent_router.folder import Claim
from tests.unit.intent_router.rig import Rig

OLD, NEW = "Why is it me?", "Why is it us?"


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A router for which every file is old enough to be known again."""
    made = Rig(tmp_path / "intents")
    monkeypatch.setattr(made.arrivals, "_wall", lambda: time.time() + CLEAN_S)
    return made


def looked_at(rig: Rig, text: str = OLD, name: str = "a.txt") -> Path:
    path = rig.root / name
    path.write_text(text)
    rig.arrivals.examine(name, Hint.CLOSED)
    return path


def take(rig: Rig, most: int = 1) -> None:
    async def scenario() -> None:
        await rig.work.handle(await rig.arrivals.take(most))

    asyncio.run(scenario())


@pytest.mark.parametrize(("age_s", "reads"), [(CLEAN_S, 1), (CLEAN_S - 1, 2)], ids=["clean", "racily clean"])
def test_a_file_is_read_once_if_a_later_change_would_show(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, age_s: float, reads: int
) -> None:
    """A backlog would take longer, or a file that was changed in the same instant be answered as it was before."""
    read: list[str] = []
    reading = folder._read

    def counting(path: str, *rest: Any) -> Any:
        read.append(path)
        return reading(path, *rest)

    monkeypatch.setattr(folder, "_read", counting)
    monkeypatch.setattr(rig.arrivals, "_wall", lambda: time.time() + age_s)
    looked_at(rig)
    take(rig)
    assert rig.bus.questions() == [OLD]
    assert len(read) == reads


def rewritten(path: Path) -> None:
    path.write_text(NEW)


def rewritten_with_its_time_set_back(path: Path) -> None:
    before = path.stat()
    path.write_text(NEW)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced_by_one_of_the_same_time(path: Path) -> None:
    before = path.stat()
    other = path.with_name("b.tmp")
    other.write_text(NEW)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


def extracted_anew(path: Path) -> None:
    before = path.stat()
    path.unlink()  # its inode is likely used again at once
    path.write_text(NEW)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = [rewritten, rewritten_with_its_time_set_back, replaced_by_one_of_the_same_time, extracted_anew]


def until_it_shows(change: Callable[[Path], None], path: Path) -> None:
    """Change a file until its clock has ticked: a look of which a change would not show is never kept."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns or (
        change is rewritten and path.stat().st_mtime_ns == before.st_mtime_ns
    ):
        change(path)


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_after_the_look_is_read_again(rig: Rig, change: Callable[[Path], None]) -> None:
    """What was asked last would lie in done/ and never be answered."""
    path = looked_at(rig)
    until_it_shows(change, path)
    take(rig)
    assert rig.bus.questions() == [NEW]
    (root,) = rig.bus.facts("Q_INTENT_READY")
    assert root["sha256"] == hashlib.sha256(NEW.encode()).hexdigest()


@pytest.mark.parametrize("change", [rewritten, replaced_by_one_of_the_same_time])
def test_a_file_that_changes_just_before_its_claim_is_read_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    """Between the last comparison and the rename there is time enough for an editor's save."""
    path = looked_at(rig)
    claim = rig.folder.claim

    def claiming(name: str, *, in_working: bool = False) -> Claim | None:
        until_it_shows(change, path)
        return claim(name, in_working=in_working)

    monkeypatch.setattr(rig.folder, "claim", claiming)
    take(rig)
    assert rig.bus.questions() == [NEW]


def test_a_file_that_is_gone_is_not_routed_from_memory(rig: Rig) -> None:
    """What its owner took back would be asked all the same."""
    looked_at(rig).unlink()
    take(rig)
    assert rig.bus.questions() == []


def test_only_so_much_is_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder full of files would fill the memory."""
    monkeypatch.setattr(arrivals, "KEPT_FILES", 2)
    for number in range(3):
        looked_at(rig, f"Why {number}?", f"{number}.txt")
    items = asyncio.run(rig.arrivals.take(3))
    assert [bool(item.look) for item in items] == [True, True, False]


def test_a_large_file_is_not_kept(rig: Rig) -> None:
    """A few thousand of them would fill the memory."""
    looked_at(rig, "?" * (arrivals.KEPT_BYTES + 1))
    (item,) = asyncio.run(rig.arrivals.take(1))
    assert not item.look
