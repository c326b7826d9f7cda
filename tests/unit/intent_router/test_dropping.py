"""Whatever way a file is put into the folder, it is routed once and whole. Real tools, real inotify."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.intent_router.rig import Rig, intent

NOT_IN_A_TEST_S = 600.0


def tool(*words: str | Path) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on another file system than the tests' own."""
    shm = Path("/dev/shm")
    if not shm.is_dir():
        pytest.skip("there is no /dev/shm")
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        yield Path(folder)


def drops_one(rig: Rig, drop: Callable[[Path], None]) -> None:
    async def scenario() -> None:
        async with rig.running():
            drop(rig.root)
            await rig.routed(1)

    asyncio.run(scenario())
    assert rig.bus.questions() == ["Why?"]
    assert rig.standing("done") == ["a.json"]
    assert rig.standing("working") == rig.standing("rejected") == []


def by_hint(tmp_path: Path) -> Rig:
    """A router that would wait ten minutes for what it is not told by the kernel."""
    return Rig(tmp_path / "intents", settle_s=NOT_IN_A_TEST_S)


def source(folder: Path) -> Path:
    path = folder / "a.json"
    path.write_text(intent("Why?"))
    return path


def test_cp(tmp_path: Path) -> None:
    """The commonest way of all."""
    drops_one(by_hint(tmp_path), lambda folder: tool("cp", source(tmp_path), folder))


def test_cp_that_keeps_an_old_date(tmp_path: Path) -> None:
    """A file with an old date would be pruned or passed over."""
    old = source(tmp_path)
    os.utime(old, (0, 0))
    drops_one(by_hint(tmp_path), lambda folder: tool("cp", "-p", old, folder))


def test_mv_on_the_same_file_system(tmp_path: Path) -> None:
    """An atomic rename opens and closes nothing."""
    drops_one(by_hint(tmp_path), lambda folder: tool("mv", source(tmp_path), folder))


def test_mv_from_another_file_system(tmp_path: Path, elsewhere: Path) -> None:
    """Such a move is a copy that is seen while it is made."""
    drops_one(by_hint(tmp_path), lambda folder: tool("mv", source(elsewhere), folder))


def test_ln(tmp_path: Path) -> None:
    """A hard link is only created, never closed."""
    linked = source(tmp_path)
    drops_one(by_hint(tmp_path), lambda folder: tool("ln", linked, folder))
    assert linked.read_text() == intent("Why?")


def test_an_editor_that_writes_a_temporary_and_renames_it(tmp_path: Path) -> None:
    """The temporary would be routed as well, or the editor would find it gone."""

    def save(folder: Path) -> None:
        (folder / ".a.json.swp").write_text("swap")
        (folder / "a.json.tmp").write_text(intent("Why?"))
        (folder / "a.json.tmp").rename(folder / "a.json")

    drops_one(by_hint(tmp_path), save)


def test_an_editor_that_probes_and_makes_a_backup(tmp_path: Path) -> None:
    """The probe, the backup or the old text would be routed as intents of their own."""

    def save(folder: Path) -> None:
        (folder / "4913").write_text("")
        (folder / "4913").unlink()
        (folder / "a.json~").write_text("the old text")
        (folder / "a.json").write_text(intent("Why?"))
        (folder / "a.json~").unlink()

    drops_one(by_hint(tmp_path), save)


@pytest.mark.skipif(shutil.which("vim") is None, reason="vim is not installed")
def test_vim_itself(tmp_path: Path) -> None:
    """The editor most people on such machines use."""
    vim = ["vim", "-N", "-u", "NONE", "-i", "NONE", "-es", "-c", "set backup"]
    text = source(tmp_path)
    drops_one(by_hint(tmp_path), lambda folder: tool(*vim, "-c", f"saveas {folder / 'a.json'}", "-c", "q", text))


def test_a_partial_write_that_is_finished_later(tmp_path: Path) -> None:
    """Half an intent would be refused, or half a question answered."""
    rig = by_hint(tmp_path)
    text = intent("Why?")

    async def scenario() -> None:
        async with rig.running():
            with (rig.root / "a.json").open("w") as file:
                file.write(text[:20])
                file.flush()
                (rig.root / "marker.txt").write_text("marker")
                await rig.routed(1)
                assert rig.bus.questions() == ["marker"]
                file.write(text[20:])
            await rig.routed(2)

    asyncio.run(scenario())
    assert rig.bus.questions() == ["marker", "Why?"]


def test_a_file_that_its_writer_keeps_open_is_taken_when_it_is_unchanged(tmp_path: Path) -> None:
    """A program that never closes its file would wait for ever."""
    rig = Rig(tmp_path / "intents", settle_s=0.05)

    async def scenario() -> None:
        async with rig.running():
            with (rig.root / "a.json").open("w") as file:
                file.write(intent("Why?"))
                file.flush()
                await rig.routed(1)

    asyncio.run(scenario())
    assert rig.bus.questions() == ["Why?"]


SLOW_WRITER = """
import sys
with open(sys.argv[1], "w") as file:
    for part in ("Which of my modules ", "read the camera?"):
        file.write(part)
        file.flush()
        print(flush=True)
        sys.stdin.readline()
"""


@pytest.mark.parametrize("before", [False, True], ids=["new", "there before the start"])
def test_text_that_a_slow_program_still_writes(tmp_path: Path, before: bool) -> None:
    """Half a question would be answered while its writer thinks, and done/ would show the whole one."""
    rig = Rig(tmp_path / "intents", settle_s=0.3)  # text would be taken after 0.3 s, patience is 4.5 s
    path = rig.root / "slow.txt"
    if before:
        path.write_text("An old draft")

    async def scenario() -> None:
        async with rig.running():
            writer = await asyncio.create_subprocess_exec(
                sys.executable, "-c", SLOW_WRITER, path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert writer.stdin is not None
            assert writer.stdout is not None
            await writer.stdout.readline()
            for number in (1, 2, 3):  # found without a hint, each is taken after settle_s: time goes by
                unseen = tmp_path / f"{number}.txt"
                unseen.write_text("marker")
                (rig.root / unseen.name).hardlink_to(unseen)
                unseen.unlink()
                rig.arrivals.settle(unseen.name)
                await rig.routed(number)
            writer.stdin.write(b"\n")
            await writer.stdout.readline()
            assert await writer.communicate(b"\n")
            await rig.routed(4)

    asyncio.run(scenario())
    assert rig.bus.questions() == ["marker"] * 3 + ["Which of my modules read the camera?"]


def test_a_file_that_changes_while_it_is_handed_on_is_told(tmp_path: Path) -> None:
    """What was written too late would be lost without a word."""
    rig = by_hint(tmp_path)

    def append(_: object) -> None:
        (path,) = rig.folder.working.iterdir()
        with path.open("a") as file:
            file.write(" And why not?")

    rig.bus.before = append

    async def scenario() -> None:
        async with rig.running():
            (rig.root / "a.txt").write_text("Why?")
            await rig.routed(1)

    asyncio.run(scenario())
    assert [line["file"] for line in rig.diary.all("changed_after_read")] == ["a.txt"]


def test_an_empty_file_is_given_time_to_be_filled(tmp_path: Path) -> None:
    """`touch a.json`, then an editor: the empty file would be refused at once."""
    rig = by_hint(tmp_path)

    async def scenario() -> None:
        async with rig.running():
            (rig.root / "a.json").touch()
            (rig.root / "marker.txt").write_text("marker")
            await rig.routed(1)
            with (rig.root / "a.json").open("a") as file:
                file.write(intent("Why?"))
            await rig.routed(2)

    asyncio.run(scenario())
    assert rig.standing("rejected") == []


def test_files_from_before_the_start(tmp_path: Path) -> None:
    """What was dropped while the router was down would wait for the next touch."""
    rig = Rig(tmp_path / "intents", settle_s=0.05)
    for number in range(20):
        (rig.root / f"{number}.txt").write_text(f"Question {number}?")
    asyncio.run(_until_routed(rig, 20))
    assert sorted(rig.bus.questions()) == sorted(f"Question {number}?" for number in range(20))


async def _until_routed(rig: Rig, count: int) -> None:
    async with rig.running():
        await rig.routed(count)


def test_the_same_question_again_is_a_new_intent(tmp_path: Path) -> None:
    """Tomorrow's question would be taken for yesterday's and never answered."""
    rig = by_hint(tmp_path)

    async def scenario() -> None:
        async with rig.running():
            for number in (1, 2):
                (rig.root / "a.json").write_text(intent("Why?"))
                await rig.routed(number)

    asyncio.run(scenario())
    assert rig.bus.questions() == ["Why?", "Why?"]
    assert len({facts["intent_id"] for facts in rig.bus.facts("Q_INTENT_READY")}) == 2


def test_a_sweep_finds_what_no_hint_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that reports nothing would keep its files for ever."""
    rig = Rig(tmp_path / "intents", settle_s=0.05, sweep_s=0.1)
    monkeypatch.setattr(rig.watcher, "hear", lambda events: None)

    async def scenario() -> None:
        async with rig.running():
            (rig.root / "a.json").write_text(intent("Why?"))
            await rig.routed(1)

    asyncio.run(scenario())
    assert rig.bus.questions() == ["Why?"]
