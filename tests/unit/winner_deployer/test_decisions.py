"""What the deployer decides, without files or a bus: who may say yes, what comes next, what is not done twice."""

from __future__ import annotations

from typing import Any

import pytest

from services.winner_deployer import logic
from services.winner_deployer.logic import Deployment, Deployments

FACTS = {"cycle_id": "c", "winners": [{"winner_id": "w", "experiment": "e", "params": {"a": 1}, "target": "t"}]}
SHA = "0" * 64
PROPOSED = {"step": "proposed", "expires": 100.0, "facts": {"change_sha256": SHA}}


def ledger(
    *steps: dict[str, Any], signal: str = "s", into: Deployments | None = None
) -> tuple[Deployments, Deployment]:
    """A deployment with these steps after its acceptance."""
    found = Deployments() if into is None else into
    (record,) = logic.accepted(signal, FACTS, ())
    for step in ({}, *steps):
        found.take({**record, **step})
    return found, found.by_id[record["id"]]


def ended(signal: str = logic.DEPLOYED, **facts: Any) -> dict[str, Any]:
    return {"step": "ended", "signal": signal, "facts": facts}


@pytest.mark.parametrize(
    ("steps", "act"),
    [
        ([], "begin"),
        ([{"step": "begun"}], "begin"),
        ([{"step": "begun"}] * 3, "give_up"),
        ([PROPOSED], "propose"),
        ([PROPOSED, {"step": "asked"}], None),
        ([PROPOSED, {"step": "answered", "verdict": "approve"}], "begin"),
        ([PROPOSED, {"step": "answered", "verdict": "reject"}, {"step": "asked"}], "reject"),
        ([{"step": "writing"}], "take_back"),
        ([{"step": "written"}], "take_back"),
        ([{"step": "taking_back"}], "take_back"),
        ([ended()], "tell"),
        ([ended(), {"step": "told"}], None),
        ([ended(), {"step": "told"}, {"step": "undo_wanted"}], "undo"),
        ([ended(), {"step": "told"}, {"step": "undoing"}], "undo"),
        ([ended(), {"step": "undone", "signal": logic.UNDONE}], "tell_undo"),
    ],
)
def test_what_the_ledger_says_decides_what_comes_next(steps, act) -> None:
    """After a crash exactly the right thing is done: never again what is done, never skipped what is not."""
    _, one = ledger(*steps)
    assert logic.todo(one, 50.0) == act


def test_without_a_yes_in_time_it_is_no() -> None:
    """A forgotten proposal is not deployed a year later."""
    _, one = ledger(PROPOSED, {"step": "asked"})
    assert logic.todo(one, 100.0) == "expire"


@pytest.mark.parametrize(
    ("steps", "changed", "said"),
    [
        ([PROPOSED], {}, None),
        ([PROPOSED], {"source": "policy_engine"}, "no person"),
        ([PROPOSED], {"taint": ["recording"]}, "comes from recording"),
        ([PROPOSED], {"now": 100.0}, "has expired"),
        ([PROPOSED], {"sha": "1" * 64}, "another change"),
        ([], {}, "was proposed"),
        ([PROPOSED, {"step": "answered", "verdict": "reject"}], {}, "counts once"),
        ([PROPOSED, ended(logic.FAILED, reason="expired")], {}, "counts once"),
    ],
)
def test_a_yes_counts_only_from_a_person_for_this_change_once_and_in_time(steps, changed, said) -> None:
    """Nobody but a person at work approves, nothing but what was shown, and never twice."""
    _, one = ledger(*steps)
    facts = {"deployment_id": one.id, "change_sha256": changed.get("sha", SHA)}
    source, taint = changed.get("source", "person@me"), changed.get("taint", [])
    fault = logic.answer_fault(one, facts, source, taint, changed.get("now", 50.0))
    assert (fault is None) == (said is None)
    assert (said or "") in (fault or "")


@pytest.mark.parametrize(
    ("steps", "source", "reason"),
    [
        ([ended(), {"step": "told"}], "person@me", None),
        ([ended(), {"step": "told"}], "policy_engine", "not_a_person"),
        ([ended(logic.FAILED, reason="worse"), {"step": "told"}], "person@me", "not_deployed"),
        ([], "person@me", "not_deployed"),
        ([ended(), {"step": "told"}, {"step": "undo_wanted"}], "person@me", "already_wanted"),
        ([ended(), {"step": "undone", "signal": logic.UNDONE}, {"step": "undo_told"}], "person@me", "already_wanted"),
        ([ended(), {"step": "undone", "signal": logic.NOT_UNDONE}, {"step": "undo_told"}], "person@me", None),
    ],
)
def test_only_what_is_in_use_is_taken_back_and_by_a_person(steps, source, reason) -> None:
    """A rollback is a person's, and of a deployment that is there; one that was refused may be asked for again."""
    _, one = ledger(*steps)
    fault = logic.undo_fault(one, one.id, source, [])
    assert (fault and fault[0]) == reason


@pytest.mark.parametrize(
    ("end", "way"),
    [
        (ended(), "ask"),
        (ended(logic.FAILED, reason="worse"), "ask"),
        (ended(logic.FAILED, reason="rejected"), "ask"),
        (ended(logic.FAILED, reason="interrupted"), "deploy"),
        (ended(logic.FAILED, reason="target_changed"), "deploy"),
    ],
)
def test_the_same_winner_is_not_deployed_a_second_time_by_itself(end, way) -> None:
    """A trigger that fires for ever does not deploy for ever, nor what a person has taken back or refused."""
    found, _ = ledger(end)
    _, again = ledger(signal="later", into=found)
    before = found.tried(again.digest, again.id)
    assert logic.mode("deploy", before, "")[0] == way


def test_the_same_signal_is_the_same_deployment() -> None:
    """A signal that is delivered again begins nothing new."""
    first, again = logic.accepted("s", FACTS, ()), logic.accepted("s", FACTS, ())
    assert [one["id"] for one in first] == [one["id"] for one in again]


def test_a_target_that_cannot_be_reloaded_is_only_reported() -> None:
    """What would be written and never read is not written, and that is said."""
    assert logic.mode("deploy", None, "no rule") == ("report", "no rule")
    assert logic.mode("report", None, "")[0] == "report"
    assert logic.mode("ask", None, "")[0] == "ask"


def test_bytes_that_only_this_daemon_has_changed_are_known() -> None:
    """The second winner of one file is no victim of the first, and an edit by hand is told apart from it."""
    made = {"step": "writing", "path": "/x", "old_sha256": "a", "new_sha256": "b"}
    found, _ = ledger(made, ended())
    assert found.follow("/x", "a") == {"a", "b"}
    assert found.follow("/y", "a") == {"a"}
    assert found.follow("/x", "c") == {"c"}
