"""A home of any length works."""

from __future__ import annotations

import os
from pathlib import Path

from signals.paths import SOCKET_PATH_MAX, Paths


def test_a_long_home_has_a_short_runtime_folder_whatever_tmpdir_says(tmp_path: Path, monkeypatch) -> None:
    """The bus and whoever looks for it must agree on it, also when their TMPDIR differs or is long itself."""
    home = tmp_path / ("x" * 100)
    monkeypatch.setenv("TMPDIR", str(home))
    long = Paths.resolve(home, {})
    monkeypatch.delenv("TMPDIR")
    assert Paths.resolve(home, {}) == long
    assert len(os.fsencode(long.mirror_socket)) <= SOCKET_PATH_MAX
