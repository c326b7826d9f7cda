"""What becomes of an investigation: an entry, or a reason why not."""

from __future__ import annotations

import hashlib

import pytest
from ruamel.yaml import YAML

from services.capability_integrator import files, logic


def entries(registry):
    return YAML(typ="safe").load(registry.read_text())["capabilities"]


def test_a_module_is_registered(hand, found, registry):
    """An investigated module stands in the registry, disabled, and the claim can be checked by its hash."""
    outcome = hand(found())
    assert outcome.signal == "Q_MODULE_INTEGRATED"
    assert outcome.facts["registry_sha256"] == hashlib.sha256(registry.read_bytes()).hexdigest()
    assert outcome.facts["capability_key"] == "json"
    assert outcome.facts["created_init"] is False
    entry = entries(registry)["json"]
    assert entry["enabled"] is False
    assert entry["integrated_at"] == "2026-01-02T03:04:05.000006Z"
    assert entry["evidence_sha256"] == logic.evidence_sha256(found())


def test_redelivery_says_the_same_and_writes_nothing(hand, found, registry):
    """A crash between writing and settling must end in the same answer."""
    first = hand(found())
    written, stamp = registry.read_bytes(), registry.stat().st_mtime_ns
    assert hand(found()) == first
    assert (registry.read_bytes(), registry.stat().st_mtime_ns) == (written, stamp)


def test_redelivery_writes_the_same_bytes(hand, found, registry):
    """A crash before the write, and then again, gives the same file: no clock is in it."""
    hand(found())
    written = registry.read_bytes()
    registry.unlink()
    hand(found())
    assert registry.read_bytes() == written


def test_second_investigation_is_skipped(hand, found, registry):
    """A module is never registered twice; a later investigation changes nothing that a person judged."""
    hand(found())
    before = registry.read_bytes()
    outcome = hand(found(summary="other", investigation_id="i2"), signal_id="s2")
    assert outcome.signal == "Q_INTEGRATION_SKIPPED"
    assert outcome.facts["reason"] == "already_integrated"
    assert registry.read_bytes() == before


def test_enabled_by_a_person_stays_enabled(hand, found, registry):
    """What a person enabled is never reset, by a redelivery or by another module."""
    hand(found())
    registry.write_text(registry.read_text().replace("enabled: false", "enabled: true  # by me"))
    assert hand(found()).facts["enabled"] is True
    hand(found("email"), signal_id="s2")
    assert entries(registry)["json"]["enabled"] is True
    assert entries(registry)["email"]["enabled"] is False
    assert "# by me" in registry.read_text()


def test_entry_of_a_person_is_left_alone(hand, found, registry):
    """An entry written by hand counts as registered."""
    registry.write_text("capabilities:\n  json:\n    enabled: true\n")
    assert hand(found()).facts["reason"] == "already_integrated"
    assert registry.read_text() == "capabilities:\n  json:\n    enabled: true\n"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"subject": "general", "module_name": None}, "not_a_module"),
        ({"subject": "unit"}, "not_a_module"),
        ({"confidence": 0.29}, "low_confidence"),
        ({"evidence": []}, "phantom"),
        ({"evidence": [{"kind": "source", "ref": "/x"}]}, "phantom"),
        ({"py_files_count": 0}, "phantom"),
    ],
)
def test_skipped_with_its_reason(hand, found, registry, changes, reason):
    """What is left out says why, and nothing is written."""
    outcome = hand(found(**changes))
    assert outcome.signal == "Q_INTEGRATION_SKIPPED"
    assert outcome.facts["reason"] == reason
    assert not registry.exists()


@pytest.mark.parametrize("name", ["import", "a.class"])
def test_bad_names_fail(hand, found, registry, name):
    """A name that no import takes is never a key."""
    assert hand(found(module_name=name)).facts["reason"] == "bad_name"
    assert not registry.exists()


@pytest.mark.parametrize(
    "name", ["", "a..b", "a b", "../x", "a\nb: c", "a.", ".a", "ﬁ", "é", "x" * 257, "a/b", "None", "a.None"]
)
def test_names_that_no_key_may_have(name):
    """Nothing but a plain dotted name becomes a key of the file."""
    assert not logic.is_module_name(name)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"capabilities:\n  json: [\n", "line"),
        (b"capabilities:\n  json:\n    enabled: maybe\n", "line 3"),
        (b"capabilities:\n  a:\n    enabled: true\n  a:\n    enabled: true\n", "line 4"),
        (b"# c\n- a list\n", "line 1"),
        (b"version: 7\n", "line 1"),
        (b"a: 1\ncapabilities: 3\n", "line 2"),
        (b"a: \xff\n", "line 1"),
        (b"capabilities:\n  'no name': {}\n", "line 1"),
        (b"a: *nothing\n", "line 1"),
        (b"capabilities: !!python/object:os.system {}\n  x", "line"),
        (b"capabilities:\n\tx: 1\n", "line 2"),
    ],
)
def test_broken_registry_is_not_overwritten(hand, found, registry, text, line):
    """A mistake in a person's edit is told with its line, and their file is kept as it is."""
    registry.write_bytes(text)
    outcome = hand(found())
    assert outcome.signal == "Q_INTEGRATION_FAILED"
    assert outcome.facts["reason"] == "registry_invalid"
    assert line in outcome.facts["detail"]
    assert registry.read_bytes() == text
    assert [path.name for path in registry.parent.iterdir()] == ["capabilities.yaml"]


def test_unwritable_folder_is_told(hand, found, tmp_path):
    """A registry that cannot be written is a failure with the reason, not a success."""
    outcome = hand(found(), registry=str(tmp_path / "absent/capabilities.yaml"))
    assert outcome.facts["reason"] == "unwritable"
    assert outcome.facts["retryable"] is True
    (tmp_path / "file").write_text("")
    assert hand(found(), registry=str(tmp_path / "file/x.yaml")).facts["reason"] == "unwritable"


def test_busy_registry_is_told(hand, found, registry, monkeypatch):
    """A file that never stands still is a failure, and not a lost edit."""
    registry.write_text("mine: 0\n")
    real, count = files._written, iter(range(1, 1000))

    def edited(path, data, ending="new"):
        fresh = real(path, data, ending)
        registry.write_text(f"mine: {next(count)}\n")
        return fresh

    monkeypatch.setattr(files, "_written", edited)
    outcome = hand(found())
    assert outcome.facts["reason"] == "registry_busy"
    assert registry.read_text() == "mine: 5\n"


def test_linked_registry_stays_a_link(hand, found, registry, tmp_path):
    """A person who keeps the file elsewhere and links to it keeps the link."""
    elsewhere = tmp_path / "dotfiles"
    elsewhere.mkdir()
    (elsewhere / "caps.yaml").write_text("mine: 1\n")
    registry.symlink_to(elsewhere / "caps.yaml")
    hand(found())
    assert registry.is_symlink()
    assert "json" in entries(registry)
