"""What rules make of signals: waits, counts, cooldowns and limits, in the journal's own time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy_engine.model import Absent, Action, Count, Decision, Limit, Outcome, Rule
from services.policy_engine.rulebook import rulebook
from signals.paths import Paths
from tests.unit.policy_engine.past import DO, RULE, Past, compiled


def test_a_condition_that_is_false_says_what_it_saw_and_would_need() -> None:
    """A person who asks why nothing happened would get no answer."""
    (decision,) = Past(RULE).hear(0, count=0)
    assert decision.outcome == "no_match"
    assert "facts.unacknowledged_count is 0" in decision.because[0]
    assert decision.needed == ("fresh: event.facts.unacknowledged_count >= 1 to be true",)


def test_cooldown_holds_for_its_key_alone_and_is_told_once() -> None:
    """One busy folder would silence all others, or flood the bus with refusals."""
    past = Past(replace(RULE, cooldown=60.0))
    assert past.outcomes(0) == ["fired"]
    assert past.outcomes(1, path="/other") == ["fired"]
    first, second = past.hear(30)[0], past.hear(59)[0]
    assert (first.outcome, first.is_told, second.is_told) == ("suppressed", True, False)
    assert first.needed == ("30 s more",)
    assert past.outcomes(60) == ["fired"]


def test_a_limit_counts_all_keys_together() -> None:
    """A rule with many keys could fire without bound."""
    past = Past(replace(RULE, limit=Limit(2, 100.0)))
    assert [past.outcomes(at, path=f"/{at}") for at in (0, 1, 2)] == [["fired"], ["fired"], ["limited"]]
    assert past.outcomes(100, path="/4") == ["fired"]


def test_a_wait_fires_when_it_still_holds_and_ends_with_its_cause() -> None:
    """A flicker would start hours of work."""
    past = Past(replace(RULE, hold=2.0))
    assert past.outcomes(0) == ["armed"]
    assert past.outcomes(1, count=3) == ["armed"]
    assert past.wait(1.9) == []
    assert past.wait(2) == ["fired"]
    assert past.outcomes(10) == ["armed"]
    assert past.outcomes(11, count=0) == ["no_match"]
    assert past.wait(20) == []


def test_what_comes_after_a_timer_is_due_does_not_change_it() -> None:
    """A late engine would decide otherwise than a prompt one, and a rehearsal otherwise than both."""
    past = Past(replace(RULE, hold=2.0))
    past.hear(0)
    assert past.outcomes(2.5, count=0) == ["fired", "no_match"]


def test_counting_counts_what_is_different_within_its_time() -> None:
    """Three reports of one failure are one failure."""
    past = Past(replace(RULE, key=None, count=Count(3, 10.0, compiled("event.facts.promotions_path"))))
    assert [past.outcomes(at, path=path)[0] for at, path in ((0, "/a"), (1, "/a"), (2, "/b"))] == ["counting"] * 3
    assert past.outcomes(3, path="/c") == ["fired"]
    assert past.outcomes(4, path="/d") == ["counting"]
    assert past.outcomes(16, path="/e") == ["counting"]


def test_silence_fires_and_an_answer_of_another_story_does_not_end_it() -> None:
    """Somebody else's answer would count as mine."""
    where = compiled("other.correlation_id == event.correlation_id", "Q_SPOKEN")
    past = Past(replace(RULE, key=None, absent=Absent("Q_SPOKEN", 5.0, where)))
    past.hear(0, correlation_id="a")
    past.hear(0, correlation_id="b")
    spoken = {"text": "x", "duration_s": 1, "engine": "x", "interrupted": False}
    past.hear(1, name="Q_SPOKEN", correlation_id="a", facts=spoken)
    assert past.wait(5) == ["fired"]


def test_a_silence_whose_condition_cannot_be_told_has_not_ended() -> None:
    """Each answer that comes would be a failed attempt, and after five of them a dead letter."""
    where = compiled("1 / (size(other.facts.text) - 2) == 1", "Q_SPOKEN")
    past = Past(replace(RULE, absent=Absent("Q_SPOKEN", 30.0, where)))
    assert past.outcomes(0) == ["armed"]
    past.hear(1, name="Q_SPOKEN", facts={"text": "hm"})
    assert past.wait(40) == ["fired"]


def test_a_shadow_rule_does_the_same_but_emits_nothing() -> None:
    """A rule could not be tried before it acts."""
    past = Past(replace(RULE, mode="shadow", cooldown=60.0))
    (decision,) = past.hear(0)
    assert (decision.outcome, decision.actions[0][0]) == ("would_fire", "Q_DREAM_TRIGGER")
    assert past.outcomes(1) == ["suppressed"]


def test_facts_that_do_not_fit_are_an_error_told_once() -> None:
    """An emit that the bus refuses would fail the signal again and again."""
    wrong = Action("Q_DREAM_TRIGGER", {**DO[0].facts, "reason": compiled("event.facts.promotions_path")})
    past = Past(replace(RULE, do=(wrong,)))
    first, second = past.hear(0, path="")[0], past.hear(1, path="")[0]
    assert (first.outcome, first.is_told, second.is_told) == ("error", True, False)


def test_a_wait_rests_on_the_last_signal_that_renewed_it() -> None:
    """What is emitted at the end of a wait would tell of how it was at its beginning."""
    count = Action("Q_DREAM_TRIGGER", {**DO[0].facts, "promotion_count": compiled("event.facts.promotion_count")})
    past = Past(replace(RULE, hold=2.0, do=(count,)))
    past.hear(0, count=1)
    past.hear(1, count=3)
    (decision,) = past.due(2)
    assert decision.actions[0][1]["promotion_count"] == 3
    assert not [name for name in past.state if name.startswith("event|")]


def test_a_wait_from_before_an_update_ends_as_it_would_have() -> None:
    """A timer that holds its signal itself, as those of older versions do, would bury every signal that follows."""
    past = Past(replace(RULE, hold=2.0))
    past.hear(0)
    (event,) = [name for name in past.state if name.startswith("event|")]
    (timer,) = [kept for name, kept in past.state.items() if name.startswith("timer|")]
    timer["event"] = past.state.pop(event)
    assert past.outcomes(3, path="/other") == ["fired", "armed"]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rule, ...]:
    """Ligand's own rules."""
    return rulebook(Paths.resolve(tmp_path_factory.mktemp("usual"))).rules


def fired(decisions: list[Decision]) -> list[dict[str, Any]]:
    return [dict(facts) for decision in decisions if decision.outcome is Outcome.FIRED for _, facts in decision.actions]


def test_a_failed_investigation_is_tried_once_more_half_an_hour_later(usual: tuple[Rule, ...]) -> None:
    """A disk that was busy for a minute would cost a module its place in the registry, or be asked for ever."""
    past, name = Past(*usual), "Q_INVESTIGATION_FAILED"
    failed = {
        "question_id": "q",
        "reason": "read_failed",
        "detail": "busy",
        "retryable": True,
        "question": "What is it?",
    }
    assert fired(past.hear(0, name=name, facts=failed | {"retryable": False})) == []
    assert fired(past.hear(1, name=name, facts=failed | {"module_path": "camera"})) == []
    assert past.wait(1800) == []
    (again,) = fired(past.due(1801))
    assert (again["question_id"], again["module_path"]) == ("q.again", "camera")
    assert [past.outcomes(at, name=name, facts=failed | {"question_id": "q.again"}) for at in (1900, 9000)] == [
        ["no_match"],
        ["no_match"],
    ]
    assert past.wait(100_000) == []


def test_what_ligand_does_by_itself_is_bounded_a_day(usual: tuple[Rule, ...]) -> None:
    """A folder with a thousand modules would have the model work for weeks, a flapping disk say so all night."""
    past = Past(*usual)
    for nth in range(30):
        found = {"module_name": f"m{nth}", "module_path": f"/m{nth}", "py_files_count": 1, "has_init": True}
        past.hear(nth, name="Q_MODULE_DISCOVERED", facts=found)
    alert = {
        "check": "disk", "severity": "critical", "value": 99, "threshold": 95, "unit": "percent", "message": "Full.",
        "since": "2026-01-01T00:00:00Z", "hint": "Make room.", "edge": "raised",
    }  # fmt: skip
    said = [fired(past.hear(at, name="Q_HEALTH_ALERT", facts=alert)) for at in (100, 200, 3700)]
    assert [[one["text"] for one in told] for told in said] == [["Full. Make room."], [], ["Full. Make room."]]
    assert fired(past.hear(4000, name="Q_HEALTH_ALERT", facts=alert | {"severity": "warning", "check": "load"})) == []
    outcomes = [str(one.outcome) for one in past.told if one.rule == "investigate-discovered-module"]
    assert (outcomes.count("fired"), outcomes.count("limited")) == (20, 10)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 20), st.integers(0, 2), st.sampled_from("ab")), max_size=40))
def test_no_key_fires_within_its_cooldown_nor_more_than_its_limit(steps: list[tuple[float, int, str]]) -> None:
    """A runaway: more acts than a person allowed, whatever comes in whatever order."""
    past = Past(replace(RULE, hold=3.0, cooldown=10.0, limit=Limit(3, 50.0)))
    at, fired = 0.0, []
    for pause, count, path in steps:
        at += pause
        fired += [d for d in past.hear(at, count, f"/{path}") if d.outcome is Outcome.FIRED]
    for one, two in zip(fired, fired[3:], strict=False):
        assert two.at - one.at >= 50.0 - 1e-6
    for key in ("/a", "/b"):
        times = [decision.at for decision in fired if decision.key == key]
        assert all(later - earlier >= 10.0 - 1e-6 for earlier, later in pairwise(times))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 1)), max_size=30), st.floats(0, 1))
def test_a_late_engine_decides_as_a_prompt_one(steps: list[tuple[float, int]], late: float) -> None:
    """What happened would depend on how busy the machine was, and no rehearsal could be trusted."""
    prompt, tardy = Past(replace(RULE, hold=3.0)), Past(replace(RULE, hold=3.0))
    at, one, two = 0.0, [], []
    for pause, count in steps:
        one += prompt.wait(at + pause * late)  # the prompt one looks at the clock in between
        at += pause
        one += prompt.outcomes(at, count)
        two += tardy.outcomes(at, count)
    assert one == two
