"""What is noted of a daemon's failure, and where it waits."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tools.ligand import note_failure
from tools.ligand.note_failure import Note, keep, of
from tools.ligand.tell_failure import waiting

UNIT = "ligand-model-worker@research.service"
NOTE = Note("01935b0e-6a70-7cc3-98c4-dc0c0c07398f", "2026-01-01T00:00:00.000000Z", UNIT, "a1", "signal", "KILL", 3)


@pytest.fixture
def names(tmp_path):
    """The notes that wait in one of the two folders."""

    def found(folder: str) -> list[str]:
        return sorted(file.name for file in (tmp_path / folder / "failures").glob("*"))

    return found


def test_a_note_says_what_systemd_says() -> None:
    """A person reads which instance failed, how, and how often it was restarted."""
    assert NOTE.facts() == {
        "unit": UNIT,
        "result": "signal",
        "restarts": 3,
        "daemon": "model_worker@research",
        "exit_status": "KILL",
    }


def test_a_good_end_is_no_failure_and_what_failed_counts_for_its_watcher() -> None:
    """Stopping a daemon tells nobody of a failure; `OnFailure=` tells of the unit it was started for, not of itself."""
    assert of(UNIT, {"SERVICE_RESULT": "success", "EXIT_STATUS": "0", "INVOCATION_ID": "a1"}) is None
    watched = {"MONITOR_SERVICE_RESULT": "watchdog", "MONITOR_EXIT_STATUS": "ABRT", "MONITOR_INVOCATION_ID": "a2"}
    found = of(UNIT, {**watched, "INVOCATION_ID": "its own"})
    assert found is not None
    assert (found.result, found.status, found.invocation) == ("watchdog", "ABRT", "a2")


def test_one_failure_is_noted_once(tmp_path: Path, names) -> None:
    """`ExecStopPost=` and `OnFailure=` both speak of the same end: it is told once."""
    for _ in range(2):
        keep(NOTE, tmp_path / "state", tmp_path / "run")
    assert names("state") == [f"{UNIT}.a1.json"]
    keep(replace(NOTE, invocation="a2"), tmp_path / "state", tmp_path / "run")
    assert len(names("state")) == 2


def test_a_disk_that_is_full_does_not_silence_a_failure(tmp_path: Path, names, capsys) -> None:
    """The commonest reason for a crash of the bus is a disk that takes nothing: the note waits in memory then."""
    (tmp_path / "state").write_text("no folder can be made here")
    keep(NOTE, tmp_path / "state", tmp_path / "run")
    assert names("run") == [f"{UNIT}.a1.json"]
    assert "until the next boot" in capsys.readouterr().err


def test_a_crash_loop_does_not_fill_the_disk(tmp_path: Path, names, monkeypatch) -> None:
    """A daemon that crashes every two seconds while the bus is away for a week: the latest note has the count."""
    monkeypatch.setattr(note_failure, "WAITING_MAX", 5)
    keep(replace(NOTE, unit="ligand-bus.service"), tmp_path / "state", tmp_path / "run")
    for count in range(20):
        keep(replace(NOTE, invocation=f"a{count}", restarts=count), tmp_path / "state", tmp_path / "run")
    assert len(names("state")) == 5
    assert "ligand-bus.service.a1.json" in names("state")
    assert max(note.restarts or 0 for _, note in waiting([tmp_path / "state" / "failures"])) == 19


def test_what_is_no_note_does_not_keep_the_others_from_being_told(tmp_path: Path, names, capsys) -> None:
    """One spoilt file, and still every other failure is heard of; it is kept, out of the way."""
    keep(NOTE, tmp_path / "state", tmp_path / "run")
    folder = tmp_path / "state" / "failures"
    for name, text in (("a.json", "{"), ("b.json", json.dumps({"unit": "x"})), ("c.json", "[]")):
        (folder / name).write_text(text)
    assert [note for _, note in waiting([folder])] == [NOTE]
    assert [file.name for file, _ in waiting([folder])] == [f"{UNIT}.a1.json"]
    assert names("state") == [".a.json", ".b.json", ".c.json", f"{UNIT}.a1.json"]
    assert "a.json is no note" in capsys.readouterr().err


def test_a_note_that_cannot_be_read_or_sorted_does_not_keep_the_others_from_being_told(
    tmp_path: Path, names, capsys
) -> None:
    """Another's file, a folder, half a character, a number for an id: each is named and kept, and the rest is told."""
    keep(NOTE, tmp_path / "state", tmp_path / "run")
    folder = tmp_path / "state" / "failures"
    (folder / "a folder.json").mkdir()
    (folder / "a link.json").symlink_to(folder / "nowhere" / "x")
    (folder / "bytes.json").write_bytes(b'{"id": "\xc3')
    (folder / "loop.json").symlink_to("loop.json")
    (folder / "no ending").write_text("x")
    for name, wrong in (
        ("number", {"id": 7}),
        ("id", {"id": "x"}),
        ("time", {"timestamp": "x"}),
        ("unit", {"unit": []}),
    ):
        (folder / f"{name}.json").write_text(json.dumps({**asdict(NOTE), **wrong}))
    for _ in range(2):
        assert [note for _, note in waiting([folder])] == [NOTE]
    said = capsys.readouterr().err
    for name in (
        "a folder.json",
        "a link.json",
        "bytes.json",
        "loop.json",
        "no ending",
        "number.json",
        "id.json",
        "time.json",
    ):
        assert f"{folder / name} is no note of a failure" in said
        assert said.count(f"put aside as .{name}") == 1
        assert f".{name}" in names("state")
