"""Files of lines on a disk that is full. If this fails, a line is torn, and the next one is lost with it."""

from __future__ import annotations

import contextlib
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.policy_engine.history import History, kept
from services.policy_engine.model import Decision, Outcome
from services.runtime.appending import append_to
from services.semantic_dedup.index import Index
from services.semantic_dedup.logic import Finding


@contextlib.contextmanager
def room_up_to(size: int) -> Iterator[None]:
    """The kernel writes no file further than this, and what fits of a write is written: as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def decision(nth: int) -> Decision:
    return Decision("rule", Outcome.NO_MATCH, "Q_X", f"signal-{nth}", 1.0, file="rules.yaml", line=1)


def finding(nth: int) -> Finding:
    return Finding(f"id-{nth}", "q", "", "What?", f"the {nth}th text", "model")


def test_a_line_that_did_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    """Half a line would make the line after it unreadable."""
    file = tmp_path / "lines"
    append_to(file, b"first\n")
    with room_up_to(10), pytest.raises(OSError, match="only 4 of 7 bytes"):
        append_to(file, b"second\n")
    assert append_to(file, b"third\n") == file.stat().st_size
    assert file.read_bytes() == b"first\nthird\n"


def test_a_finding_after_a_full_disk_is_still_known_after_a_restart(tmp_path: Path) -> None:
    """A finding that was told as linked would be forgotten at the next start."""
    file = tmp_path / "findings.jsonl"
    index = Index(file)
    index.add(finding(1))
    with room_up_to(file.stat().st_size + 10), pytest.raises(OSError, match="only 10 of"):
        index.add(finding(2))
    index.add(finding(3))
    assert [Index(file).get(f"id-{nth}") is not None for nth in (1, 2, 3)] == [True, False, True]


def test_rules_go_on_where_their_decisions_cannot_be_kept(tmp_path: Path) -> None:
    """The rule that says aloud that the disk is full would fail because the disk is full."""
    folder = tmp_path / "state"
    folder.mkdir()
    history = History(folder, 1 << 20, 2)
    history.add(decision(1), [])
    with room_up_to(10):
        history.flush()
    assert "decisions are not kept" in history.trouble
    shutil.rmtree(folder)
    folder.touch()
    history.add(decision(2), [])
    history.flush()
    assert "Not a directory" in history.trouble
    folder.unlink()
    history.add(decision(3), [])
    history.flush()
    assert history.trouble == ""
    assert [one["signal_id"] for one in kept(folder)] == ["signal-3"]


def test_findings_that_were_taken_away_are_written_again(tmp_path: Path) -> None:
    """After a folder was cleared away, the next start would know nothing of what was linked before."""
    file = tmp_path / "findings.jsonl"
    index = Index(file)
    index.add(finding(1))
    file.unlink()
    index.add(finding(2))
    assert [Index(file).get(f"id-{nth}") is not None for nth in (1, 2)] == [True, True]


def test_a_line_that_somebody_edited_hides_no_other(tmp_path: Path) -> None:
    """`ligand policy why` would end in a traceback because of one line."""
    history = History(tmp_path, 1 << 20, 2)
    history.add(decision(1), [])
    history.flush()
    with (tmp_path / "decisions.jsonl").open("ab") as out:
        out.write(b'{"half\n7\n{}\n{"at": 7}\n')
    history.add(decision(2), [])
    history.flush()
    assert [one["signal_id"] for one in kept(tmp_path)] == ["signal-1", "signal-2"]
