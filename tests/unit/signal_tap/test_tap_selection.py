"""Which signals an option means."""

from __future__ import annotations

import pytest

from signals.errors import UsageError
from tools.signal_tap.assignments import facts_in, facts_of
from tools.signal_tap.selection import Selection, Start, names_of, start_of

NOW = 1_800_000_000.0


def test_starts() -> None:
    """`--from` takes three forms."""
    assert start_of("first", None, NOW) == Start(seq=1)
    assert start_of("120", None, NOW) == Start(seq=120)
    assert start_of("-5", None, NOW) == Start(back=5)
    assert start_of(None, "-1min", NOW) == Start(since_us=int((NOW - 60) * 1e6))
    assert not start_of(None, None, NOW)
    with pytest.raises(UsageError, match="first"):
        start_of("last", None, NOW)


def test_names_are_globs_of_signal_names() -> None:
    """A mistyped verb must not become a filter that never matches."""
    assert names_of(["Q_INTENT_*", "Q_[AB]?"]) == ("Q_INTENT_*", "Q_[AB]?")
    with pytest.raises(UsageError, match="neither a verb nor"):
        names_of(["trcae"])


def test_a_selection_needs_all_that_was_said() -> None:
    """Filters narrow each other."""
    envelope = {"signal": "Q_A", "source": "model_worker@primary", "correlation_id": "s"}
    assert Selection().takes(envelope)
    assert Selection(("Q_*",), ("model_worker@*",), "s").takes(envelope)
    assert not Selection(("Q_B",)).takes(envelope)
    assert not Selection(sources=("bus",)).takes(envelope)
    assert not Selection(correlation="other").takes(envelope)
    assert Selection(("Q_A*",)).among(["Q_A", "Q_AB", "Q_B"]) == ["Q_A", "Q_AB"]


def test_facts_as_they_are_typed() -> None:
    """Text, JSON and nesting, as the help says."""
    typed = ["text=a=b c", "n:=5", "list:=[1,2]", "place.room=kitchen", "place.floor:=0", "empty="]
    assert facts_of(typed) == {
        "text": "a=b c",
        "n": 5,
        "list": [1, 2],
        "place": {"room": "kitchen", "floor": 0},
        "empty": "",
    }


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["text"], "sets nothing"),
        (["n:=five"], "takes JSON"),
        (['n:=1,"m":2'], "takes JSON"),
        (["n:=NaN"], "takes JSON"),
        (["a=1", "a=2"], "set twice"),
        (["a=1", "a.b=2"], "already has a value"),
        (["a..b=2"], "empty"),
        (["=2"], "sets nothing"),
        (["text=\udcff"], "is not UTF-8"),
    ],
)
def test_facts_that_are_mistyped(typed: list[str], says: str) -> None:
    """A slip of the hand is named, never guessed at."""
    with pytest.raises(UsageError, match=says):
        facts_of(typed)


def test_facts_from_standard_input() -> None:
    """One object over several lines, or one a line."""
    assert facts_in(b'{\n "a": 1\n}\n') == [{"a": 1}]
    assert facts_in(b'{"a": 1}\n\n{"a": 2}\n') == [{"a": 1}, {"a": 2}]
    with pytest.raises(UsageError, match="line 2"):
        facts_in(b'{"a": 1}\n{"a": }\n')
    with pytest.raises(UsageError, match="twice"):
        facts_in(b'{"a": 1, "a": 2}')
    with pytest.raises(UsageError, match="no JSON object"):
        facts_in(b"")
