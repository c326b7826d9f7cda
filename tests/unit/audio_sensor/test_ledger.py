"""What was spoken stays spoken."""

from __future__ import annotations

from pathlib import Path

from services.audio_sensor.ledger import KEEP, Ledger


def test_what_was_said_is_known_after_a_crash(tmp_path: Path) -> None:
    """A sentence is not said again because the daemon was killed after it."""
    path = tmp_path / "spoken.jsonl"
    ledger = Ledger.open(path, [])
    ledger.begin("a")
    ledger.end("a", {"duration_s": 1.0})
    ledger.begin("b")
    again = Ledger.open(path, ["a", "b"])
    assert again.ended("a") == {"duration_s": 1.0}
    assert (again.begun("a"), again.begun("b")) == (0, 1)


def test_a_line_that_a_crash_cut_harms_no_other(tmp_path: Path) -> None:
    """A power cut while writing costs one line, not the book."""
    path = tmp_path / "spoken.jsonl"
    ledger = Ledger.open(path, [])
    ledger.end("a", {})
    path.write_bytes(path.read_bytes() + b'{"id":"b","wh')
    again = Ledger.open(path, [])
    again.begin("c")
    third = Ledger.open(path, [])
    assert third.ended("a") == {}
    assert third.begun("c") == 1


def test_what_made_room_does_not_count_as_begun(tmp_path: Path) -> None:
    """An answer that an alarm interrupted is not given up as if it had crashed."""
    ledger = Ledger.open(tmp_path / "spoken.jsonl", [])
    ledger.begin("a")
    ledger.again("a")
    assert ledger.begun("a") == 0
    assert Ledger.open(ledger.path, []).begun("a") == 0


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    """Years of speaking fit on the disk; what still waits is never forgotten."""
    ledger = Ledger.open(tmp_path / "spoken.jsonl", [])
    lines = "".join(f'{{"id":"{n}","what":"ended","how":{{}}}}\n' for n in range(KEEP + 50))
    ledger.path.write_text(lines)
    again = Ledger.open(ledger.path, ["3"])
    assert len(ledger.path.read_text().splitlines()) == KEEP + 1
    assert again.ended("3") == {}
    assert again.ended("4") is None
