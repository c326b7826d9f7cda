"""What commands of `ligand` say when a disk is full, or when nothing could be kept."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from signals.errors import ConfigError
from signals.paths import Paths
from tools.ligand.board import Board
from tools.ligand.checks.running import _daemon
from tools.ligand.configuring import _strangers
from tools.ligand.doctor import _all
from tools.ligand.dropping import drop
from tools.ligand.salvaged import Salvaged, words
from tools.text import value_text


@contextmanager
def nobody() -> Iterator[None]:
    """As a user who may look into no folder of a test."""
    before = os.geteuid()
    if before:
        pytest.skip("only root can become somebody else")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_the_doctor_tells_what_it_may_not_look_at(tmp_path: Path) -> None:
    """It would end with `Permission denied` at the first such folder, and tell nothing of all else."""
    paths = Paths.resolve(tmp_path)
    paths.ensure()
    tmp_path.chmod(0o700)
    with nobody():
        found = list(_all(paths))
    told = {one.check: one for one in found if one.state == "mend"}
    assert told["permissions"].found.endswith("Permission denied")
    assert "Permission denied; the rest cannot be told" in told["home"].found
    assert told.keys() & {"models", "running"}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Salvaged(incomplete=["signal"]), "what signals there were cannot be told"),
        (Salvaged(signals=7, head=7, incomplete=["dead"]), "lost no signal"),
        (Salvaged(signals=6, head=7, lost=[(3, 3)]), "lost 1 signal: #3"),
    ],
)
def test_a_salvage_says_no_more_than_it_knows(found: Salvaged, said: str) -> None:
    """A person whose whole journal is gone would read that no signal is lost."""
    assert list(words(found))[1] == said


def test_a_full_disk_is_no_matter_of_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person would look who may write there, where room has to be made."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=r"No space left on device\. Make room there"):
        drop(tmp_path, "a.json", b"{}")
    assert not list(tmp_path.iterdir())


def test_states_that_cannot_be_written_are_no_traceback(tmp_path: Path) -> None:
    """On a full disk `ligand up` would bury what the bus says under tracebacks."""
    unheard: list[dict[str, Any]] = []

    async def change() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        Board(tmp_path / "gone" / "units.json").changed()
        await asyncio.sleep(0)

    asyncio.run(change())
    assert not unheard


def test_one_item_is_one_item() -> None:
    """A list of one long text is shown as what it is."""
    assert value_text(["x" * 500], 40) == "[1 item]"


def test_what_an_experiment_tunes_is_no_stranger(tmp_path: Path) -> None:
    """A person would be told to mend a file as D-REAM's own manual has it."""
    config = Paths.resolve(tmp_path).config
    (config / "experiments").mkdir(parents=True)
    for name in ("toy.yaml", "tay.yaml"):
        (config / name).write_text("size: 1\n")
    for name, text in (("toy", "target: {file: toy.yaml}"), ("half", "target:"), ("odd", "- 1"), ("broken", "{")):
        (config / "experiments" / f"{name}.yaml").write_text(text)
    assert [Path(one.file).name for one in _strangers(Paths.resolve(tmp_path), {})] == ["tay.yaml"]


def test_a_daemon_that_ends_again_and_again_is_not_to_be_started() -> None:
    """A person would be told to start what `ligand up` starts every two seconds."""
    daemon = {"daemon": "tea_maker", "message": "", "ready": False, "state": "absent"}
    unit = {"state": "restarting", "last_end": "ended with status 1", "failure": None}
    (found,) = _daemon(daemon, unit)
    assert found.found == "tea_maker is absent: restarting; last end: ended with status 1"
    assert found.todo == "The lines of `ligand up` say why."
    (found,) = _daemon(daemon, None)
    assert found.todo.startswith("Start it")
