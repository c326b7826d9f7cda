"""What is not a plain readable file, or not an intent, ends in rejected/ with words that help."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.intent_router.folder import Claim, State, StillWrittenError
from tests.unit.intent_router.rig import Rig, intent


def refuse(rig: Rig, drop: Callable[[Path], object]) -> dict[str, str]:
    """Drop something that is refused, and give the facts that the bus hears."""

    async def scenario() -> None:
        async with rig.running():
            drop(rig.root / "a.json")
            await rig.refused(1)

    asyncio.run(scenario())
    assert rig.standing("rejected") == ["a.json", "a.json.error"]
    assert rig.standing("working") == rig.standing("done") == []
    (facts,) = rig.bus.facts("Q_INTENT_REJECTED")
    assert os.path.lexists(facts["kept_at"])
    assert facts["reason"] in Path(f"{facts['kept_at']}.error").read_text()
    assert rig.bus.facts("Q_INTENT_READY") == []
    return facts


def test_broken_json_is_explained_beside_the_file(tmp_path: Path) -> None:
    """The person would not know that anything went wrong, nor what."""
    facts = refuse(
        Rig(tmp_path / "intents"),
        lambda path: path.write_text('{"type": "question",\n"data": oops}'),
    )
    assert facts["reason"] == "not_json"
    assert facts["file"] == "a.json"
    assert "line 2, column 9" in facts["detail"]
    note = Path(f"{facts['kept_at']}.error").read_text()
    assert "line 2, column 9" in note
    assert "How to mend it" in note
    assert '"type": "discover.module"' in note


def test_facts_that_break_the_contract_are_refused_with_the_place(tmp_path: Path) -> None:
    """The bus would refuse them later and the file would have vanished into done/."""
    text = intent(evidence=["x" * 2000])
    facts = refuse(Rig(tmp_path / "intents"), lambda path: path.write_text(text))
    assert facts["reason"] == "refused_schema"
    assert "evidence" in facts["detail"]


def test_a_link_is_moved_itself_and_never_followed(tmp_path: Path) -> None:
    """A link could make the router read, and send on, a file that its owner may not read."""
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    facts = refuse(Rig(tmp_path / "intents"), lambda path: path.symlink_to(secret))
    assert facts["reason"] == "not_regular"
    assert "symbolic link" in facts["detail"]
    assert Path(facts["kept_at"]).is_symlink()
    assert secret.read_text() == "the secret"


def test_a_pipe_does_not_hold_the_router_up(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to blocks for ever."""
    facts = refuse(Rig(tmp_path / "intents"), os.mkfifo)
    assert "named pipe" in facts["detail"]


def test_a_socket_is_refused(tmp_path: Path) -> None:
    """A socket cannot be opened at all."""
    with socket.socket(socket.AF_UNIX) as listening, tempfile.TemporaryDirectory() as short:
        facts = refuse(Rig(Path(short) / "i"), lambda path: listening.bind(str(path)))
    assert "socket" in facts["detail"]


@contextmanager
def without_root(folder: Path) -> Iterator[None]:
    """Run as nobody in a folder of nobody's, since root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.chown(folder, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """The file would stay where it is, tried again for ever, without a word."""

    def drop(path: Path) -> None:
        path.with_suffix(".tmp").write_text(intent())
        path.with_suffix(".tmp").chmod(0)
        path.with_suffix(".tmp").rename(path)

    with tempfile.TemporaryDirectory() as open_to_all, without_root(Path(open_to_all)):
        facts = refuse(Rig(Path(open_to_all) / "intents"), drop)
    assert facts["reason"] == "unreadable"
    assert "chmod" in facts["detail"]


def test_a_folder_is_left_alone_with_one_warning(tmp_path: Path) -> None:
    """A person's folder would be taken away, or the log filled with it."""
    rig = Rig(tmp_path / "intents", settle_s=0.02, sweep_s=0.02)

    async def scenario() -> None:
        async with rig.running():
            (rig.root / "mine").mkdir()
            for number in (1, 2, 3):
                (rig.root / f"{number}.txt").write_text("Why?")
                await rig.routed(number)

    asyncio.run(scenario())
    assert (rig.root / "mine").is_dir()
    assert len(rig.diary.all("folder_left_alone")) == 1


def test_a_file_written_while_it_is_read_waits_until_it_is_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a text would be routed as the whole."""
    rig = Rig(tmp_path / "intents")
    read, writing = rig.folder.read, [True]

    def reading(claim: Claim, limit: int) -> tuple[bytes, State]:
        if writing.pop() if writing else False:
            raise StillWrittenError
        return read(claim, limit)

    monkeypatch.setattr(rig.folder, "read", reading)

    async def scenario() -> None:
        async with rig.running():
            (rig.root / "a.json").write_text(intent("Whole?"))
            await rig.routed(1)

    asyncio.run(scenario())
    assert rig.bus.questions() == ["Whole?"]


def test_a_change_between_the_two_looks_of_a_read_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark of a writer at work would be missed."""
    rig = Rig(tmp_path / "intents")
    (rig.root / "a.txt").write_text("Why")
    claim = rig.folder.claim("a.txt")
    assert claim is not None
    looks = os.lstat

    def writing(path: str) -> os.stat_result:
        found = looks(path)
        with (rig.folder.working / claim.name).open("a") as file:
            file.write("?")
        return found

    monkeypatch.setattr("services.intent_router.folder.os.lstat", writing)
    with pytest.raises(StillWrittenError):
        rig.folder.read(claim, 1000)


def test_a_hard_link_is_read_under_its_claimed_name(tmp_path: Path) -> None:
    """Its other name may be gone or changed by then."""
    rig = Rig(tmp_path / "intents")
    (tmp_path / "b").write_text("Why?")
    os.link(tmp_path / "b", rig.root / "a.txt")
    claim = rig.folder.claim("a.txt")
    assert claim is not None
    (tmp_path / "b").unlink()
    assert rig.folder.read(claim, 100)[0] == b"Why?"
