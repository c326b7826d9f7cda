"""Recordings that somebody has edited, or that are none."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest

from signals.envelope import from_dict
from signals.errors import MalformedError, UsageError
from tools.signal_tap.recordings import Recording, RecordingError, envelopes, last_of

WHOLE = {"signal": "Q_INTENT_READY", "facts": {}}


@pytest.mark.parametrize(
    "wrong",
    [{"also_caused_by": 7}, {"also_caused_by": [["x"]]}, {"taint": 1.5}, {"taint": [None]}, {"causation_id": []}],
)
def test_a_line_that_is_no_envelope_is_named_before_it_is_played(tmp_path, wrong):
    """`signal-tap play` must say which line to mend, not end in a traceback."""
    file = tmp_path / "edited.jsonl"
    file.write_bytes(orjson.dumps(WHOLE) + b"\n" + orjson.dumps(WHOLE | wrong) + b"\n")
    with pytest.raises(UsageError, match="line 2: this is no envelope"):
        list(envelopes(str(file)))


@pytest.mark.parametrize("name", ["taint", "also_caused_by"])
def test_an_envelope_with_a_number_for_a_list_is_malformed(name):
    """Whoever decodes foreign bytes counts on our own error family."""
    with pytest.raises(MalformedError):
        from_dict({**WHOLE, name: 7})


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """The kernel ends a write there, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_recording_in_which_nothing_could_be_written_is_not_there(tmp_path):
    """An empty file would stay, and keep the next attempt from its name; what was there before stays as it was."""
    file = tmp_path / "none"
    for is_there in (False, True):
        if is_there:
            file.write_bytes(b"{}\n")
        with (
            pytest.raises(RecordingError, match="Cannot write"),
            Recording(file, append=is_there) as recording,
            no_file_beyond(3),
        ):
            recording.write([orjson.dumps(WHOLE)])
        assert file.exists() is is_there


def test_a_recording_that_a_full_disk_cut_short_says_how_much_of_it_is_whole(tmp_path):
    """`0 signals recorded` beside a file with two of three would make a person throw it away."""
    lines = [orjson.dumps({**WHOLE, "seq": seq, "id": f"id-{seq}", "facts": {"pad": "x" * 100}}) for seq in (1, 2, 3)]
    file = tmp_path / "cut"
    with (
        pytest.raises(RecordingError, match=r"Cannot write .*cut"),
        Recording(file) as recording,
        no_file_beyond(len(lines[0]) * 2 + 50),
    ):
        recording.write(lines)
    assert recording.count == 2
    assert last_of(file) == (2, "id-2")
    assert file.read_bytes().splitlines() == lines[:2]
