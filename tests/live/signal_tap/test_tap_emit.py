"""Emitting as a person."""

from __future__ import annotations

import pytest

from signals.emitter import person
from tests.support.commands import run
from tests.support.constellation import Constellation


def emit(home: Constellation, *arguments: str, given: bytes = b""):
    return run("signal_tap", home.home, "emit", *arguments, given=given)


def test_what_was_emitted_is_in_the_journal_when_it_returns(home: Constellation) -> None:
    """It is on disk, as the person who asked, and can be found again by what was printed."""
    done = emit(home, "Q_ITEM_START", "n:=5", "pad=a b", "--taint", "web")
    assert (done.code, done.err) == (0, "")
    name, signal_id, seq = done.text.split()
    (found,) = home.signals("Q_ITEM_START")
    assert (name, found.id, str(found.seq), found.source) == ("Q_ITEM_START", signal_id, seq, person())
    assert (found.facts, found.taint) == ({"n": 5, "pad": "a b"}, ("web",))
    assert run("signal_tap", home.home, "trace", seq).code == 0


def test_facts_from_standard_input_go_as_one_batch(home: Constellation) -> None:
    """All or none: the second line is wrong, so the first is not emitted either."""
    assert emit(home, "Q_ITEM_START", "--stdin", given=b'{"n":1,"pad":""}\n{"n":2,"pad":""}\n').code == 0
    wrong = emit(home, "Q_ITEM_START", "--stdin", given=b'{"n":3,"pad":""}\n{"n":"x","pad":""}\n')
    assert wrong.code == 2
    assert "Line 2" in wrong.err
    assert [found.facts["n"] for found in home.signals("Q_ITEM_START")] == [1, 2]


def test_a_dry_run_checks_and_emits_nothing(home: Constellation) -> None:
    """It needs no bus."""
    home.running[0].stop()
    dry = emit(home, "Q_ITEM_START", "n:=5", "pad=", "--dry-run", "-o", "json")
    assert dry.code == 0
    assert dry.objects[0]["facts"] == {"n": 5, "pad": ""}
    assert home.signals("Q_ITEM_START") == []
    assert emit(home, "Q_ITEM_START", "n:=5", "--dry-run").code == 2
    assert emit(home, "Q_ITEM_START", "n:=5", "pad=").code == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("Q_ITEM_START", "n=5", "pad="), "key:=5 for a number"),
        (("Q_ITEM_START", "n:=5"), "pad"),
        (("Q_ITEM_STRAT", "n:=5", "pad="), "did you mean Q_ITEM_START"),
        (("Q_ITEM_START", "n:=five", "pad="), "takes JSON"),
        (("Q_ITEM_START", "n:=5", "--stdin"), "not both"),
        (("Q_ITEM_START", "--stdin"), "no JSON object"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(
    home: Constellation, arguments: tuple[str, ...], says: str
) -> None:
    """A message that only says no sends a person to the source code."""
    refused = emit(home, *arguments)
    assert (refused.code, refused.out) == (2, b"")
    assert says in refused.err
    assert "Traceback" not in refused.err
    assert home.signals("Q_ITEM_START") == []
