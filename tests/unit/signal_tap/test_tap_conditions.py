"""Conditions on envelopes mean what they say, for every kind of value."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.errors import UsageError
from tools.signal_tap.conditions import condition_of, pattern_of
from tools.signal_tap.selection import Selection

ENVELOPE = {
    "seq": 12,
    "signal": "Q_A",
    "hops": 2,
    "taint": ["file", "web"],
    "facts": {"priority": "high", "size": 1.5, "done": True, "none": None, "list": [{"n": 1}], "text": "a=b ~ c"},
}


@pytest.mark.parametrize(
    "text",
    [
        "facts.priority=high",
        "facts.priority != low",
        "facts.priority~^HI|^hi",
        "facts.size>1",
        "facts.size<=1.5",
        "facts.size=1.50",
        "hops>=2",
        "seq<100",
        "facts.done=true",
        "facts.none=null",
        "taint=web",
        "taint!=microphone",
        "facts.list.0.n=1",
        "facts.absent!=x",
        "facts.text=a=b ~ c",
        "facts.priority>a",
        "facts~priority",
    ],
)
def test_what_holds(text: str) -> None:
    """Each operator on each kind of value."""
    assert condition_of(text).holds(ENVELOPE)


@pytest.mark.parametrize(
    "text",
    [
        "facts.priority=High",
        "facts.absent=x",
        "facts.absent<1",
        "facts.absent~.",
        "facts.size>x",
        "facts.done>0",
        "facts.done=1",
        "taint!=web",
        "facts.list.1.n=1",
        "hops=two",
        "seq~^2",
        "facts.size=nan",
    ],
)
def test_what_does_not_hold(text: str) -> None:
    """An absent fact, or one of another kind, is no match and no error."""
    assert not condition_of(text).holds(ENVELOPE)


@pytest.mark.parametrize(
    "text", ["", "facts", "=x", "priority=high", "facts.=x", "facts..a=1", "facts.a~(", "a b=c", "seq<nan", "seq>=-inf"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    """A filter that is silently ignored shows everything."""
    with pytest.raises(UsageError):
        condition_of(text)


@given(st.text())
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    """No slip of the hand ends in a traceback."""
    with suppress(UsageError):
        condition_of("facts." + text).holds(ENVELOPE)


def test_excluded_names_and_content_narrow_each_other() -> None:
    """All that was said holds at once; secrets are hidden before anything is searched."""
    assert Selection(exclude=("Q_B*",)).takes_name("Q_A")
    assert not Selection(("Q_*",), exclude=("Q_A",)).takes(ENVELOPE)
    assert Selection(grep=pattern_of('"priority":"high"')).takes(ENVELOPE)
    assert not Selection(grep=pattern_of("High")).takes(ENVELOPE)
    hidden = Selection(grep=pattern_of("high"), hide=lambda envelope: {**envelope, "facts": {}})
    assert not hidden.takes(ENVELOPE)
    assert Selection(exclude=("Q_B",)).among(["Q_A", "Q_B"]) == ["Q_A"]
