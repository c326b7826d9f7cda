"""What rules keep, owe and say has bounds: else a signal could carry it no more, or memory would fill."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from services.policy_engine.memory import stale
from services.policy_engine.model import Absent, Action, Count, Limit
from services.policy_engine.telling import decided
from tests.unit.policy_engine.past import CATALOGUE, RULE, START, Past, compiled


def test_waits_on_long_signals_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five hundred waits on long signals would be more state than the bus takes, and every signal a dead letter."""
    monkeypatch.setattr("services.policy_engine.logic.MAX_WAITED_ON", 1)
    past = Past(replace(RULE, key=None, absent=Absent("Q_SPOKEN", 5.0)))
    assert [past.outcomes(nth)[0] for nth in range(2)] == ["armed", "limited"]
    assert "MiB of signals are waited on already" in past.told[-1].because[-1]
    assert past.wait(7) == ["fired"]
    assert past.outcomes(8) == ["armed"]


def test_that_too_many_wait_already_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that waits on each signal of a flood would fill the memory with waits, or the bus with refusals."""
    monkeypatch.setattr("services.policy_engine.logic.MAX_TIMERS", 2)
    past = Past(replace(RULE, key=None, absent=Absent("Q_SPOKEN", 5.0)))
    assert [past.outcomes(nth)[0] for nth in range(4)] == ["armed", "armed", "limited", "limited"]
    first, second = past.told[-2:]
    assert (first.is_told, second.is_told) == (True, False)
    assert "2 timers run already" in first.because
    assert past.wait(7) == ["fired", "fired"]
    assert past.outcomes(8) == ["armed"]


def test_what_no_signal_could_carry_is_an_error_of_the_rule() -> None:
    """What triggered it would be a dead letter after five attempts to emit it."""
    path = compiled("event.facts.promotions_path")
    big = Action("Q_CURIOSITY_INVESTIGATE", {"question": path, "question_id": "x", "priority": "low", "evidence": []})
    past = Past(replace(RULE, do=(big,), key=None))
    assert past.outcomes(0, path="\U0001f9e0" * 16_000) == ["error"]
    assert past.outcomes(1, path="\U0001f9e0" * 14_000) == ["fired"]


def test_what_bears_on_nothing_is_forgotten_and_nothing_else() -> None:
    """The state would grow for ever, or a cooldown would be forgotten."""
    past = Past(replace(RULE, cooldown=60.0), replace(RULE, id="two", limit=Limit(1, 100.0)))
    past.hear(0)
    assert stale(past.state, START + 59, {"one": 60.0, "two": 100.0}) == {}
    gone = stale(past.state, START + 99, {"one": 60.0, "two": 100.0})
    assert {name.split("|")[1] for name in gone} == {"one"}
    many = {f"asked|{nth}": {"until": START} for nth in range(1500)}
    assert len(stale(many, START + 1, {})) == 1000  # after a long night one settle could not carry them all


def test_many_long_reasons_fit_a_signal() -> None:
    """A rule with many conditions in Chinese would be decided on five times, and its signal buried."""
    sentences = ("\U0001f9e0" * 600,) * 40
    (decision,) = Past(RULE).hear(0)
    facts = decided(replace(decision, because=(*sentences, "the last"), needed=sentences), [])
    CATALOGUE["Q_POLICY_DECIDED"].check(facts)
    assert len(orjson.dumps(facts)) < 60_000
    assert (facts["because"][-1], len(facts["because"])) == ("the last", 11)


def test_what_a_condition_saw_is_kept_in_short() -> None:
    """Ten conditions on one long text would keep it ten times over, and no settle could carry that."""
    path = ("path", compiled("event.facts.promotions_path != ''"))
    (decision,) = Past(replace(RULE, when=(path,) * 10, key=None)).hear(0, path="x" * 50_000)
    assert len(orjson.dumps(decision.as_json())) < 20_000
    assert decision.traces[0].words().count("x") < 80


def test_many_waits_on_one_long_signal_keep_it_once_and_for_as_long_as_they_wait() -> None:
    """Fifteen rules that wait on one long signal would exceed what a settle can carry, and bury it."""
    on_time = Past(*(replace(RULE, id=f"r{nth}", key=None, hold=2.0) for nth in range(40)))
    silence = replace(RULE, key=None, absent=Absent("Q_SPOKEN", 5.0))
    ended = Past(*(replace(silence, id=f"r{nth}") for nth in range(40)), replace(RULE, id="hold", hold=9.0, key=None))
    for past in (on_time, ended):
        past.hear(0, path="x" * 50_000)
        assert len(orjson.dumps(past.state)) < 80_000
    assert on_time.wait(2) == ["fired"] * 40
    ended.hear(1, name="Q_SPOKEN")
    assert [name for name in ended.state if name.startswith("event|")]
    assert ended.outcomes(2, count=0) == ["no_match"] * 41
    for past in (on_time, ended):
        assert not [name for name in past.state if name.startswith(("event|", "timer|"))]


def test_long_keys_are_told_apart_and_kept_in_short() -> None:
    """Fifty long texts that are counted apart would exceed what a settle can carry, and bury each that follows."""
    past = Past(replace(RULE, key=None, count=Count(200, 1000.0, compiled("event.facts.promotions_path"))))
    for nth in range(199):
        assert past.outcomes(nth, path="x" * 8_000 + str(nth)) == ["counting"]
    assert len(orjson.dumps(past.state)) < 100_000
    assert past.outcomes(199, path="x" * 8_000 + "0") == ["counting"]
    assert past.outcomes(200, path="x" * 8_000 + "new") == ["fired"]


def test_what_is_remembered_has_a_bound_that_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule with another key for each signal and a long cooldown would fill the memory until the engine is killed."""
    monkeypatch.setattr("services.policy_engine.memory.MAX_KEPT", 5)
    past = Past(replace(RULE, cooldown=1e6))
    assert [past.outcomes(nth, path=f"/{nth}")[0] for nth in range(5)] == ["fired"] * 5
    first, second = past.hear(6, path="/6")[0], past.hear(7, path="/7")[0]
    assert (first.outcome, first.is_told, second.is_told) == ("error", True, False)
    assert "coarser key" in first.because[-1]
    assert past.outcomes(8, path="/0") == ["suppressed"]
    assert len(past.state) == 6


def test_what_is_too_much_for_one_firing_is_an_error_of_the_rule() -> None:
    """What a timer owes is kept until its turn comes; one that no settle can carry would bury every signal."""
    path = compiled("event.facts.promotions_path")
    long = Action("Q_CURIOSITY_INVESTIGATE", {"question": path, "question_id": "x", "priority": "low", "evidence": []})
    past = Past(replace(RULE, do=(long,) * 12, key=None, hold=1.0))
    past.hear(0, path="\U0001f9e0" * 12_000)
    (decision,) = past.due(2)
    assert (decision.outcome, "together" in decision.because[-1]) == ("error", True)
