"""A missing `__init__.py` is made only where a person allowed it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.capability_integrator import packages


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code/audio"
    folder.mkdir(parents=True)
    (folder / "capture.py").touch()
    return folder


@pytest.fixture
def bare(found, code):
    """The investigation of a folder without `__init__.py`."""
    return found("audio", module_path=str(code), has_init=False)


def allowed(code, create=True):
    return {"roots": [{"path": str(code.parent), "create_init": create}]}


def test_off_by_default(hand, bare, code):
    """Nothing is written into a person's code unless they said so."""
    for config in ({}, allowed(code, create=False), {"roots": [{"path": str(code.parent)}]}):
        hand(bare, **config)
        assert os.listdir(code) == ["capture.py"]


def test_made_where_allowed(hand, bare, code):
    """The folder becomes a package, and the signal says that it was made."""
    assert hand(bare, **allowed(code)).facts["created_init"] is True
    assert (code / "__init__.py").read_bytes() == packages.text_of("s1")
    assert sorted(os.listdir(code)) == ["__init__.py", "capture.py"]


def test_redelivery_says_made_again(hand, bare, code, registry):
    """A crash after the file was made must not turn the truth into false."""
    first = hand(bare, **allowed(code))
    assert hand(bare, **allowed(code)) == first
    registry.unlink()
    assert hand(bare, **allowed(code)).facts["created_init"] is True


def test_present_file_is_kept(hand, bare, code):
    """A file that appeared since the investigation is not touched, nor claimed."""
    (code / "__init__.py").write_text("x = 1\n")
    assert hand(bare, **allowed(code)).facts["created_init"] is False
    assert (code / "__init__.py").read_text() == "x = 1\n"


def test_folder_without_python_is_left_alone(hand, bare, code):
    """A folder of data does not become a package."""
    (code / "capture.py").unlink()
    assert hand(bare, **allowed(code)).facts["created_init"] is False
    assert os.listdir(code) == []


def test_links_are_not_followed(hand, found, code, tmp_path):
    """A link beneath an allowed root leads to no write outside, and none inside either."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.py").touch()
    (code.parent / "way").symlink_to(outside)
    (code / "__init__.py").symlink_to(outside / "made.py")
    for path in (code.parent / "way", code, outside, code.parent / "audio/../../outside"):
        facts = found("audio", module_path=str(path), has_init=False)
        assert hand(facts, signal_id=str(path).replace("/", "-"), **allowed(code)).facts.get("created_init") is not True
    assert os.listdir(outside) == ["a.py"]


def test_root_itself_and_absent_folders(hand, found, code):
    """The root is no package, and no folder is made."""
    (code.parent / "x.py").touch()
    for number, path in enumerate((code.parent, code / "absent", code / "capture.py")):
        facts = found(f"audio{number}", module_path=str(path), has_init=False)
        assert hand(facts, **allowed(code)).facts["created_init"] is False
    assert sorted(os.listdir(code.parent)) == ["audio", "x.py"]


def test_absent_root_fails_with_its_path(hand, found, tmp_path):
    """A root in the configuration that does not exist is said, not ignored."""
    facts = found("audio", module_path=str(tmp_path / "gone/audio"), has_init=False)
    outcome = hand(facts, roots=[{"path": str(tmp_path / "gone"), "create_init": True}])
    assert outcome.facts["reason"] == "unwritable"
    assert "gone" in outcome.facts["detail"]


def test_leftover_of_a_crash(hand, bare, code):
    """A half-made file of a crashed attempt is cleared away."""
    (code / ".__init__.py.new").write_text("half")
    assert hand(bare, **allowed(code)).facts["created_init"] is True
    assert sorted(os.listdir(code)) == ["__init__.py", "capture.py"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.sampled_from(["..", ".", "code", "audio", "outside", "", "~", "\0", "way"]), max_size=6))
def test_no_path_leads_a_write_outside(found, code, tmp_path, parts):
    """Whatever path a fact names, nothing is made outside the allowed root."""
    outside = tmp_path / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "a.py").touch()
    (tmp_path / "b.py").touch()
    roots = packages.InitRoots.of([{"path": str(code.parent), "create_init": True}])
    path = "/".join([str(code.parent), *parts])
    packages.make_init({"has_init": False, "module_path": path}, "s", roots)
    assert os.listdir(outside) == ["a.py"]
    assert not (tmp_path / "__init__.py").exists()
    assert not (code.parent / "__init__.py").exists()
