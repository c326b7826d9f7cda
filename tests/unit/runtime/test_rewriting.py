"""Putting another content into a person's file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from services.runtime.rewriting import rewrite


def good(made: Path) -> None:
    assert made.read_text() == "new\n"


def test_a_link_stays_one_and_owner_and_mode_are_kept(tmp_path):
    """Who keeps files in a repository would find a copy beside it; a daemon could not read its own file any more."""
    place, link = tmp_path / "repository" / "file.yaml", tmp_path / "file.yaml"
    place.parent.mkdir()
    place.write_text("old\n")
    place.chmod(0o640)
    link.symlink_to(place)
    if os.geteuid() == 0:
        os.chown(place, 4711, 4712)
    before = place.stat()
    rewrite(link, "new\n", good)
    after = place.stat()
    assert (link.is_symlink(), place.read_text()) == (True, "new\n")
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert [one.name for one in place.parent.iterdir()] == ["file.yaml"]


def test_what_cannot_be_used_changes_nothing(tmp_path):
    """A slip would otherwise take a daemon down at its next start."""
    place = tmp_path / "file.yaml"

    def bad(made: Path) -> None:
        raise ValueError(made.read_text())

    with pytest.raises(ValueError, match="new"):
        rewrite(place, "new\n", bad)
    assert list(tmp_path.iterdir()) == []
    rewrite(place, "new\n", good)
    assert stat.S_IMODE(place.stat().st_mode) == 0o644
    with pytest.raises(ValueError, match="newer"):
        rewrite(place, "newer\n", bad)
    assert [one.read_text() for one in tmp_path.iterdir()] == ["new\n"]
