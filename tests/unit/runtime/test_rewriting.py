"""A person's file is given other text: by a command that may run as root, and that may find nothing to be used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from services.runtime.rewriting import rewrite
from signals.errors import ConfigError


def refuse(path: Path) -> None:
    raise ConfigError(f"{path.read_text()} cannot be used")


def accept(path: Path) -> None:
    assert path.read_text() == "new: 1\n"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.yaml"
    path.write_text("old: 1\n")
    path.chmod(0o640)
    return path


def test_it_stays_theirs(theirs: Path, tmp_path: Path) -> None:
    """A file that root changed for a person would be one that they can no longer change."""
    uid = 12_345 if os.geteuid() == 0 else os.geteuid()
    os.chown(theirs, uid, -1)
    link = tmp_path / "link.yaml"
    link.symlink_to(theirs.name)
    rewrite(link, "new: 1\n", accept, tmp_path / "before")
    found = theirs.stat()
    assert (link.is_symlink(), theirs.read_text(), (tmp_path / "before").read_text()) == (True, "new: 1\n", "old: 1\n")
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (uid, 0o640)
    assert len(list(tmp_path.iterdir())) == 3


def test_what_cannot_be_used_changes_nothing(theirs: Path, tmp_path: Path) -> None:
    """A command that breaks a person's configuration stops the daemon that reads it."""
    with pytest.raises(ConfigError, match="new: 1"):
        rewrite(theirs, "new: 1\n", refuse, tmp_path / "before")
    assert (theirs.read_text(), list(tmp_path.iterdir())) == ("old: 1\n", [theirs])


def test_one_that_is_not_there_is_made(tmp_path: Path) -> None:
    """The first setting comes before the file."""
    rewrite(tmp_path / "config" / "theirs.yaml", "new: 1\n", accept, tmp_path / "before")
    assert (tmp_path / "config" / "theirs.yaml").read_text() == "new: 1\n"
    assert not (tmp_path / "before").exists()
