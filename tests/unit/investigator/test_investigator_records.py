"""The file of investigations: never doubled, repaired, never half a line."""

from __future__ import annotations

import json
import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.investigator import records
from services.investigator.records import Records

AT = "2026-01-02T03:04:05.000006Z"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "curiosity_investigations.jsonl"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_redelivery_finds_its_record(path):
    """A daemon killed after writing must give the same answer, and not write a second line."""
    assert Records(path).add("i1", "s1", AT, {"a": 1}) == {"a": 1}
    again = Records(path)
    assert again.find("i1") == {"a": 1}
    assert again.add("i1", "s1", AT, {"a": 2}) == {"a": 1}
    assert [line["investigation_id"] for line in lines(path)] == ["i1"]


def test_whole_answer_is_repeated_after_a_restart(investigator, tmp_path, root):
    """The same signal twice, with a restart in between, ends in the same facts."""
    facts = {"question": "?", "question_id": "q", "priority": "low", "evidence": [], "module_path": "json"}
    first = investigator.answer("s", AT, facts)
    second = type(investigator)(investigator.places, investigator.limits, Records(investigator.records.path))
    assert second.answer("s", AT, facts) == first
    assert len(lines(investigator.records.path)) == 1


def test_failures_are_not_recorded(investigator):
    """A phantom is no finding; when the module appears later, a replay finds it."""
    facts = {
        "question": "?",
        "question_id": "q",
        "priority": "low",
        "evidence": [],
        "module_path": "nope_nope",
    }
    investigator.answer("s", AT, facts)
    assert investigator.records.path.read_bytes() == b""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0, max_value=400))
def test_torn_last_line_is_mended(tmp_path, cut):
    """A power cut in the middle of a write must not spoil the next line."""
    path = tmp_path / "torn.jsonl"
    path.unlink(missing_ok=True)
    store = Records(path)
    for number in range(3):
        store.add(f"i{number}", f"s{number}", AT, {"text": "ü" * 20})
    whole = path.read_bytes()
    path.write_bytes(whole[: max(0, len(whole) - cut)])
    mended = Records(path)
    mended.add("new", "s", AT, {})
    found = [line["investigation_id"] for line in lines(path)]
    assert found[-1] == "new"
    assert found[:-1] == [f"i{number}" for number in range(len(found) - 1)]


def test_line_without_its_newline_is_kept(path):
    """A whole record whose newline was lost is not thrown away."""
    Records(path).add("i1", "s1", AT, {"a": 1})
    path.write_bytes(path.read_bytes()[:-1])
    mended = Records(path)
    assert mended.dropped == 0
    assert mended.find("i1") == {"a": 1}


def test_lines_that_a_person_spoilt_are_passed_over(path):
    """An edited file neither stops the daemon nor loses its other records."""
    Records(path).add("i1", "s1", AT, {"a": 1})
    path.write_bytes(b'not json\n[1]\n{"investigation_id": 3}\n' + path.read_bytes())
    assert Records(path).find("i1") == {"a": 1}


def test_a_long_file_is_searched_from_its_end(path, monkeypatch):
    """A file of years does not hold every question up; a replayed one is still found in it."""
    monkeypatch.setattr(records, "BLOCK_BYTES", 150)
    store = Records(path, tail_bytes=2_000)
    for number in range(200):
        store.add(f"i{number}", "s", AT, {"n": number})
    again = Records(path, tail_bytes=2_000)
    assert again.find("i199") == {"n": 199}
    assert again.find("i0") is None
    assert again.find("i0", thorough=True) == {"n": 0}
    assert all(again.find(f"i{number}", thorough=True) == {"n": number} for number in range(200))
    store.add("i200", "s", AT, {"module_name": "json", "text": "x" * 1000})
    store.add("i201", "s", AT, {"module_name": "json.tool", "text": '"module_name":"json"'})
    assert store.latest("json") == {"module_name": "json", "text": "x" * 1000}
    assert store.latest("jso") is None


def test_two_writers_do_not_double(path):
    """A process that was replaced and its successor may both finish the same question."""
    one, two = Records(path), Records(path)
    one.add("i1", "s1", AT, {"a": 1})
    assert two.add("i1", "s1", AT, {"a": 2}) == {"a": 1}
    two.add("i2", "s2", AT, {})
    assert one.find("i2") == {}


def test_line_that_moved_is_found(path):
    """A person who adds a line above does not make a redelivery double the record below."""
    store = Records(path)
    store.add("i1", "s1", AT, {"a": 1})
    with path.open("r+b") as stream:
        whole = stream.read()
        stream.seek(0)
        stream.write(b'{"note": "mine"}\n' + whole)
    assert store.add("i1", "s1", AT, {"a": 2}) == {"a": 1}
    assert len(lines(path)) == 2


def test_lanes_write_at_the_same_time(path):
    """The critical lane and the main one share the file."""
    store = Records(path)
    threads = [
        threading.Thread(target=lambda n=n: [store.add(f"i{i}", "s", AT, {"n": n}) for i in range(20)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(line["investigation_id"] for line in lines(path)) == sorted(f"i{i}" for i in range(20))


def test_failed_write_leaves_no_half_line(path, monkeypatch):
    """A full disk makes the attempt fail; what stands in the file stays whole."""
    store = Records(path)
    store.add("i1", "s1", AT, {"a": 1})

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.add("i2", "s2", AT, {})
    monkeypatch.undo()
    assert [line["investigation_id"] for line in lines(path)] == ["i1"]
    store.add("i2", "s2", AT, {})
    assert os.stat(path).st_size == len(path.read_bytes())


def test_file_taken_away_meanwhile(path):
    """A person who moves the file away gets a new one."""
    store = Records(path)
    store.add("i1", "s1", AT, {})
    path.unlink()
    store.add("i2", "s2", AT, {})
    assert [line["investigation_id"] for line in lines(path)] == ["i2"]
    assert store.find("i1") is None
