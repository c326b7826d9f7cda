"""The policy engine on a real bus: fires once, whatever is killed, and takes new rules whole or not at all."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from signals.envelope import Signal
from tests.live.policy_engine.conftest import DREAM, PROMOTIONS, Policies

ON_PROMOTIONS: dict[str, Any] = {
    "id": "dream",
    "signals": ["Q_PROMOTIONS_DETECTED"],
    "key": "event.facts.promotions_path",
    "when": [{"fresh": "event.facts.unacknowledged_count >= 1"}],
    "cooldown": "6h",
    "do": [DREAM],
}


def sensed(policies: Policies, name: str = "Q_PROMOTIONS_DETECTED", **facts: Any) -> Signal:
    with policies.home.emitter() as sensor:
        whole = {**PROMOTIONS, **facts} if name == "Q_PROMOTIONS_DETECTED" else facts
        sent = sensor.signal(name, whole)
        sensor.emit(sent)
    return sent


def settled(policies: Policies) -> None:
    """Wait until a last signal has been decided on; the engine takes them in order."""
    sent = sensed(policies, promotions_path="/the/end")
    policies.home.wait_for("Q_POLICY_DECIDED", trigger_id=sent.id)


def test_a_burst_fires_once_and_every_signal_knows_its_cause(policies: Policies) -> None:
    """Three promotions in a second would start three cycles, each hours long."""
    policies.rules(ON_PROMOTIONS | {"hold": "1s"})
    policies.start()
    first = sensed(policies)
    sensed(policies)
    last = sensed(policies)
    (decided,) = policies.home.wait_for("Q_POLICY_DECIDED", trigger_id=first.id)
    (dream,) = policies.home.signals("Q_DREAM_TRIGGER")
    (due,) = policies.home.signals("Q_POLICY_DUE")
    assert decided.facts["emitted"] == [dream.id]
    assert decided.facts["outcome"] == "emitted"
    assert (due.causation_id, dream.causation_id) == (first.id, due.id)
    assert last.id in dream.also_caused_by
    assert dream.correlation_id == first.id


def test_an_ending_edge_ends_the_wait(policies: Policies) -> None:
    """Promotions that were dealt with at once would still start a cycle."""
    policies.rules(ON_PROMOTIONS | {"hold": "1s"})
    policies.start()
    sensed(policies)
    sensed(policies, unacknowledged_count=0)
    settled(policies)
    assert [s.facts["promotion_count"] for s in policies.home.signals("Q_DREAM_TRIGGER")] == [1]


@pytest.mark.parametrize("victim", ["engine", "bus", "both"])
def test_a_kill_neither_loses_nor_doubles_a_firing(policies: Policies, victim: str) -> None:
    """A power cut would lose a decision, or make one twice."""
    policies.rules(ON_PROMOTIONS | {"hold": "1s"}, {**ON_PROMOTIONS, "id": "at-once"})
    engine, bus = policies.start(), policies.home.running[0]
    paths = [f"/p/{nth}" for nth in range(4)]
    for nth, path in enumerate(paths):
        sensed(policies, promotions_path=path)
        if nth % 2:
            continue
        if victim in ("engine", "both"):
            engine.kill()
        if victim in ("bus", "both"):
            bus.kill()
            bus = policies.home.bus()
        if victim in ("engine", "both"):
            engine = policies.start()
    policies.home.wait_for("Q_DREAM_TRIGGER", 2 * len(paths))
    settled(policies)
    told = policies.home.signals("Q_POLICY_DECIDED")
    fired = sorted((s.facts["rule"], s.facts["trigger_id"]) for s in told if s.facts["outcome"] == "emitted")
    causes = {s.id: s.facts["promotions_path"] for s in policies.home.signals("Q_PROMOTIONS_DETECTED")}
    assert sorted((rule, causes[trigger]) for rule, trigger in fired if causes[trigger] in paths) == sorted(
        (rule, path) for rule in ("dream", "at-once") for path in paths
    )
    assert len(set(fired)) == len(fired)
    assert policies.home.dead() == []


def test_nobody_answered(policies: Policies) -> None:
    """Silence would go unnoticed, or an answer would be called silence."""
    waits = {"signal": "Q_SPOKEN", "within": "1s", "where": "other.facts.text == event.facts.promotions_path"}
    rule = {"id": "silence", "signals": ["Q_PROMOTIONS_DETECTED"], "absent": waits, "do": [DREAM]}
    policies.rules(rule | {"limit": {"max": 9, "per": "1h"}})  # a dream may lead back to promotions
    policies.start()
    sensed(policies, promotions_path="heard")
    sensed(policies, "Q_SPOKEN", text="heard", duration_s=1, engine="x", interrupted=False)
    unheard = sensed(policies, promotions_path="unheard")
    (decided,) = policies.home.wait_for("Q_POLICY_DECIDED")
    assert decided.facts["trigger_id"] == unheard.id


def test_new_rules_are_taken_whole_or_not_at_all(policies: Policies) -> None:
    """A slip in the file would stop every rule, or leave half of the old ones."""
    policies.rules(ON_PROMOTIONS | {"cooldown": "0s", "limit": {"max": 9, "per": "1h"}})
    engine = policies.start()
    policies.rules(ON_PROMOTIONS | {"when": [{"fresh": "event.facts.unacknowledgd >= 1"}]})
    engine.signal(signal.SIGHUP)
    engine.heard("RELOADING=1").heard("READY=1")
    assert "policies.yaml:" in engine.tail()
    assert "there is no 'unacknowledgd'" in engine.tail()
    first = sensed(policies)
    policies.home.wait_for("Q_POLICY_DECIDED", trigger_id=first.id, outcome="emitted")
    policies.rules(ON_PROMOTIONS | {"mode": "shadow"})
    engine.signal(signal.SIGHUP)
    policies.home.wait_for("Q_CONFIGURATION_RELOADED")
    second = sensed(policies, promotions_path="/other")
    policies.home.wait_for("Q_POLICY_DECIDED", trigger_id=second.id, outcome="shadow")


def test_a_runaway_condition_is_ended_and_said(policies: Policies) -> None:
    """One rule could stop the engine, and with it all the others."""
    ids = "event.facts.promotion_ids"
    bomb = f"{ids}.all(a, {ids}.all(b, {ids}.all(c, a != '' && b != '' && c != '')))"
    policies.rules(ON_PROMOTIONS | {"id": "bomb", "when": [{"bomb": bomb}]}, ON_PROMOTIONS)
    policies.start()
    sent = sensed(policies, promotion_ids=[f"p-{nth}" for nth in range(256)])
    policies.home.wait_for("Q_POLICY_DECIDED", rule="dream", trigger_id=sent.id, outcome="emitted")
    (said,) = policies.home.wait_for("Q_POLICY_DECIDED", rule="bomb", trigger_id=sent.id)
    assert said.facts["outcome"] == "error"
    assert "10,000 steps" in said.facts["because"][-1]


def test_rules_that_cannot_be_used_keep_the_engine_from_starting_and_that_is_all_it_says(policies: Policies) -> None:
    """A person reads one line that says where the slip is, not a traceback beneath it."""
    policies.rules(ON_PROMOTIONS | {"when": [{"fresh": "event.facts.unacknowledgd >= 1"}]})
    engine = policies.home.daemon("policy_engine")
    assert engine.process.wait(30) == 78
    assert "there is no 'unacknowledgd'" in engine.tail()
    assert "Traceback" not in engine.tail()
