"""Emitting as a person."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from signals.emitter import person
from tests.live.signal_tap.conftest import Clock, Told, telling
from tests.support.commands import started, tap
from tests.support.constellation import Constellation
from tools.signal_tap import emit as emitting


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Of its own: these tests say more."""
    with telling(tmp_path_factory.mktemp("told")) as found:
        yield found


def emit(home: Constellation, *arguments: str, given: bytes = b""):
    return tap(home.home, "emit", *arguments, given=given)


def test_what_was_emitted_is_in_the_journal_when_it_returns(home: Constellation) -> None:
    """It is on disk, as the person who asked, and can be found again by what was printed."""
    done = emit(home, "Q_ITEM_START", "n:=5", "pad=a b", "--taint", "web")
    assert (done.code, done.err) == (0, "")
    name, signal_id, seq = done.text.split()
    (found,) = home.signals("Q_ITEM_START")
    assert (name, found.id, str(found.seq), found.source) == ("Q_ITEM_START", signal_id, seq, person())
    assert (found.facts, found.taint) == ({"n": 5, "pad": "a b"}, ("web",))
    assert tap(home.home, "trace", seq).code == 0


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
    assert emit(home, "Q_ITEM_START", "n:=5").code == 2  # what is wrong is said first, whether a bus runs or not


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("Q_ITEM_START", "n=5", "pad="), "key:=5 for a number"),
        (("Q_ITEM_START",), "$.facts.n: found nothing, expected a whole number; missing too: $.facts.pad"),
        (("Q_ITEM_START", "n:=5"), "Its facts: `signal-tap info Q_ITEM_START`"),
        (("Q_ITEM_STRAT", "n:=5", "pad="), "did you mean Q_ITEM_START"),
        (("Q_ITEM_START", "n:=five", "pad="), "takes JSON"),
        (("Q_ITEM_START", "n:=5", "--stdin"), "not both"),
        (("Q_ITEM_START", "--stdin"), "no JSON object"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(told: Told, arguments: tuple[str, ...], says: str) -> None:
    """A message that only says no sends a person to the source code."""
    home = told.constellation
    before = home.signals("Q_ITEM_START")
    refused = emit(home, *arguments)
    assert (refused.code, refused.out) == (2, b"")
    assert says in refused.err
    assert "Traceback" not in refused.err
    assert home.signals("Q_ITEM_START") == before


def test_a_signal_again_and_again(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """A steady stream to try a daemon with: so many, at a rate, each a signal of its own."""
    before, clock = len(told.constellation.signals("Q_ITEM_DONE")), Clock()
    monkeypatch.setattr(emitting, "time", clock)
    done = tap(told.home, "emit", "Q_ITEM_DONE", "n:=5", "pad=", "-c", "6", "-r", "50", "-o", "json")
    assert (done.code, len({each["id"] for each in done.objects})) == (0, 6)
    found = told.constellation.signals("Q_ITEM_DONE")[before:]
    assert [each["seq"] for each in done.objects] == [one.seq for one in found]
    assert clock.slept == [0.02] * 5
    burst = tap(told.home, "emit", "Q_ITEM_DONE", "n:=5", "pad=", "-c", "2500")
    assert len(burst.lines) == 2500
    assert tap(told.home, "emit", "Q_ITEM_DONE", "n:=5", "pad=", "-r", "0").code == 2
    assert tap(told.home, "emit", "Q_ITEM_DONE", "n:=5", "pad=", "-c", "2", "--dry-run", "-o", "json-pretty").code == 0


def test_a_rate_without_a_count_goes_on_until_ctrl_c(told: Told) -> None:
    """Exit code 130, and what was said so far is there."""
    with started("signal_tap", told.home, "emit", "Q_ITEM_DONE", "n:=5", "pad=", "-r", "100") as process:
        assert process.stdout is not None
        said = [process.stdout.readline().split() for _ in range(3)][-1]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert said[2] in [str(found.seq).encode() for found in told.constellation.signals("Q_ITEM_DONE")]
