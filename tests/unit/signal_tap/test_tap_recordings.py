"""Recordings that somebody has edited, or that are none."""

import orjson
import pytest

from signals.envelope import from_dict
from signals.errors import MalformedError, UsageError
from tools.signal_tap.recordings import envelopes

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
