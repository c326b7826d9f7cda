"""The folder of a daemon's own files. If this fails, what cannot be written ends as dead letters."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.runtime import Unavailable
from services.runtime.folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    found = Folder(tmp_path / "state" / "mine")
    found.make()
    found.is_used = True
    return found


def test_a_folder_that_is_gone_is_made_again_and_remembered_as_lost(folder: Folder) -> None:
    """An attempt that failed because its file was swept away under it would count, and the fifth be the last."""
    losses = folder.need()
    assert folder.lost_since(losses) == ""
    shutil.rmtree(folder.path.parent)
    assert "was gone; it is there again" in folder.lost_since(losses)
    assert (folder.path.is_dir(), folder.trouble) == (True, "")
    assert folder.lost_since(folder.need()) == ""


def test_work_waits_while_the_folder_cannot_be_made(folder: Folder) -> None:
    """Handled all the same, each signal would fail five times and be given up."""
    folder.path.rmdir()
    folder.path.touch()
    for _ in range(2):
        with pytest.raises(Unavailable, match="Not a directory") as raised:
            folder.need()
        assert raised.value.retry_in <= 5
    assert folder.losses == 1
    folder.path.unlink()
    assert folder.need() == 1
    assert folder.trouble == ""


def test_who_keeps_no_files_is_not_held_up(folder: Folder) -> None:
    """A model worker would answer nobody because of a folder in which it keeps nothing."""
    folder.is_used = False
    folder.path.rmdir()
    assert folder.need() == 0
