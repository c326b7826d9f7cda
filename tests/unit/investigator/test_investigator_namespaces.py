"""Modules that are not there, and packages that are only folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.investigator.roots import library_paths
from tests.unit.investigator.conftest import said

STDLIB = Path(library_paths()[0])


@pytest.mark.parametrize("name", ["no_such_module_at_all", "audioop_like_absent", "json.nope", "json.dumps"])
def test_absent_modules_are_phantoms(ask, name):
    """A made-up module must not become a capability."""
    outcome = ask(name)
    assert outcome.signal == "Q_INVESTIGATION_FAILED"
    assert outcome.facts["reason"] == "phantom"
    assert outcome.facts["retryable"] is False
    assert str(STDLIB) in outcome.facts["detail"]


def test_phantom_names_the_parent_that_exists(ask):
    """A typing mistake in the last part is seen at once."""
    assert "json exists, but has no module nope" in ask("json.nope").facts["detail"]


def test_namespace_package(ask, write):
    """A folder without __init__.py is a package too, and it is said that the file is missing."""
    write("space/audio/capture.py", '"""Captures."""\ndef start():\n    """Begin."""\n')
    outcome = ask("space.audio")
    assert outcome.facts["has_init"] is False
    assert outcome.facts["module_name"] == "space.audio"
    assert outcome.facts["capabilities"] == ["capture.start(): Begin."]
    assert said(outcome, "No __init__.py")


@pytest.mark.parametrize("deep", ["nsp/inner/m.py", "nsp/a/b/c/m.py", "nsp/inner/__init__.py", "nsp/test_m.py"])
def test_a_namespace_is_found_by_its_own_name(ask, write, deep):
    """A folder whose modules can be imported would be called a phantom."""
    write(deep, '"""Inside."""\ndef go(): ...\n')
    for asked in ("nsp", "./nsp"):
        outcome = ask(asked)
        assert outcome.signal == "Q_INVESTIGATION_COMPLETE"
        assert outcome.facts["module_name"] == "nsp"
        assert outcome.facts["py_files_count"] == 1
        assert all("sha256" in one for one in outcome.facts["evidence"])
        assert outcome.facts["evidence"]


def test_a_namespace_of_compiled_modules_has_no_source(ask, write):
    """It exists: to call it a phantom would be a lie."""
    write("nsp/inner/fast.so", b"\x7fELF")
    assert ask("nsp").facts["reason"] == "no_source"


def test_a_namespace_of_links_is_told_as_one(ask, root, tmp_path):
    """Nothing beyond the links is read, and the person learns that they are why."""
    (tmp_path / "m.py").write_text("x = 1\n")
    (root / "nsp").mkdir()
    (root / "nsp/m.py").symlink_to(tmp_path / "m.py")
    assert ask("nsp").facts["reason"] == "unreadable"
    assert "only links (m.py)" in ask("nsp").facts["detail"]


def test_a_folder_without_modules_is_a_phantom(ask, write):
    """A folder of data must not become a capability."""
    write("data/inner/table.csv", "1\n")
    write("data/__pycache__/m.py", "")
    (write("data/readme.txt").parent / "odd.py").mkdir()
    assert ask("data").facts["reason"] == "phantom"
