"""The policy engine on a real bus: fires once, whatever is killed, and takes new rules whole or not at all."""

from __future__ import annotations

import signal
from typing import Any

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


def sensed(policies: Policies, **facts: Any) -> Signal:
    return sensed_at_once(policies, facts)[0]


def sensed_at_once(policies: Policies, *promotions: dict[str, Any], spoken: str | None = None) -> list[Signal]:
    """Emit what is sensed of promotions, and then that something was said, in one batch: no time passes in between."""
    with policies.home.emitter() as sensor:
        sent = [sensor.signal("Q_PROMOTIONS_DETECTED", PROMOTIONS | facts) for facts in promotions]
        if spoken is not None:
            said = {"text": spoken, "duration_s": 1, "engine": "x", "interrupted": False}
            sent.append(sensor.signal("Q_SPOKEN", said))
        sensor.emit(*sent)
    return sent


def settled(policies: Policies) -> None:
    """Wait until a last signal has been decided on; the engine takes them in order."""
    sent = sensed(policies, promotions_path="/the/end")
    policies.home.wait_for("Q_POLICY_DECIDED", trigger_id=sent.id)


def about(rule: dict[str, Any], path: str) -> dict[str, Any]:
    """A rule that looks at the promotions of one path alone, so that several need but one engine."""
    mine = {"mine": f"event.facts.promotions_path == '{path}'"}
    return {**rule, "id": path, "when": [mine, *rule.get("when", [])]}


WAITS = ON_PROMOTIONS | {"hold": "1s"}
WAITING = 120
IDS = "event.facts.promotion_ids"
BOMB = f"{IDS}.all(a, {IDS}.all(b, {IDS}.all(c, a != '' && b != '' && c != '')))"
SILENCE = {
    "signals": ["Q_PROMOTIONS_DETECTED"],
    "absent": {"signal": "Q_SPOKEN", "within": "1s", "where": "other.facts.text == event.facts.promotion_ids[0]"},
    "limit": {"max": 9, "per": "1h"},  # a dream may lead back to promotions
    "do": [DREAM],
}


def test_waits_silence_and_runaways_are_decided_on_beside_each_other(policies: Policies) -> None:
    """Three promotions in a second would start three cycles; silence would go unnoticed; one rule would stop all."""
    bomb = ON_PROMOTIONS | {"when": [{"bomb": BOMB}]}
    policies.rules(about(WAITS, "burst"), about(WAITS, "edge"), about(SILENCE, "quiet"), about(bomb, "bomb"))
    policies.start()
    burst = sensed_at_once(policies, *([{"promotions_path": "burst"}] * 3))
    sensed_at_once(policies, {"promotions_path": "edge"}, {"promotions_path": "edge", "unacknowledged_count": 0})
    sensed_at_once(policies, {"promotions_path": "quiet", "promotion_ids": ["heard"]}, spoken="heard")
    unheard = sensed(policies, promotions_path="quiet", promotion_ids=["unheard"])
    wild = sensed(policies, promotions_path="bomb", promotion_ids=[f"p-{nth}" for nth in range(256)])
    _waits_for_the_burst(policies, burst)
    (decided,) = policies.home.wait_for("Q_POLICY_DECIDED", rule="quiet")
    assert decided.facts["trigger_id"] == unheard.id
    (said,) = policies.home.wait_for("Q_POLICY_DECIDED", rule="bomb", trigger_id=wild.id)
    assert (said.facts["outcome"], "10,000 steps" in said.facts["because"][-1]) == ("error", True)
    assert not [one for one in policies.home.signals("Q_POLICY_DECIDED") if one.facts["rule"] == "edge"]


def _waits_for_the_burst(policies: Policies, burst: list[Signal]) -> None:
    """One firing, and every signal knows its cause."""
    first, _, last = burst
    (decided,) = policies.home.wait_for("Q_POLICY_DECIDED", trigger_id=first.id)
    (dream,) = [one for one in policies.home.signals("Q_DREAM_TRIGGER") if one.id in decided.facts["emitted"]]
    (due,) = [one for one in policies.home.signals("Q_POLICY_DUE") if one.facts["rule"] == "burst"]
    assert (decided.facts["outcome"], decided.facts["emitted"]) == ("emitted", [dream.id])
    assert (due.causation_id, dream.causation_id) == (first.id, due.id)
    assert last.id in dream.also_caused_by
    assert dream.correlation_id == first.id


def test_a_kill_neither_loses_nor_doubles_a_firing(policies: Policies) -> None:
    """A power cut would lose a decision, or make one twice: of the engine, of the bus, of both at once."""
    fourth = {"id": "fourth", "key": "'all'", "count": {"at_least": 4, "within": "1h"}}
    policies.rules(ON_PROMOTIONS | {"hold": "1s"}, ON_PROMOTIONS | {"id": "at-once"}, ON_PROMOTIONS | fourth)
    engine, bus = policies.start(), policies.home.running[0]
    paths = ["/engine", "/nothing", "/bus", "/engine+bus"]
    for path in paths:
        sensed(policies, promotions_path=path)
        if "engine" in path:
            engine.kill()
        if "bus" in path:
            bus.kill()
            bus = policies.home.bus()
        if "engine" in path:
            engine = policies.start()
    policies.home.wait_for("Q_DREAM_TRIGGER", 2 * len(paths) + 1)
    settled(policies)
    told = policies.home.signals("Q_POLICY_DECIDED")
    fired = sorted((s.facts["rule"], s.facts["trigger_id"]) for s in told if s.facts["outcome"] == "emitted")
    causes = {s.id: s.facts["promotions_path"] for s in policies.home.signals("Q_PROMOTIONS_DETECTED")}
    wanted = [(rule, path) for rule in ("dream", "at-once") for path in paths]
    assert sorted((rule, causes[trigger]) for rule, trigger in fired if causes[trigger] in paths) == sorted(
        [*wanted, ("fourth", paths[-1])]
    )
    assert len(set(fired)) == len(fired)
    assert policies.home.dead() == []


def test_timers_that_owe_more_than_a_settle_can_carry_are_all_decided_on(policies: Policies) -> None:
    """After a night off hundreds of waits end at once; what no settle could carry would bury every signal."""
    path = "event.facts.promotions_path"
    ask = {"question": f"={path} + {path} + {path}", "question_id": f"={path}.substring(0, 9)"}
    asks = {"emit": "Q_CURIOSITY_INVESTIGATE", "facts": ask | {"priority": "low", "evidence": []}}
    long = [about(WAITS, "long") | {"id": f"long-{nth}", "key": "'all'"} for nth in range(40)]
    policies.rules(ON_PROMOTIONS | {"hold": "0.2s", "do": [asks]}, *long)
    assert policies.start().stop() == 0
    with policies.home.emitter() as sensor:
        for nth in range(WAITING):
            facts = PROMOTIONS | {"promotions_path": f"/{nth:08}" + "x" * 4000}
            sensor.emit(sensor.signal("Q_PROMOTIONS_DETECTED", facts))
    sensed(policies, promotions_path="long", promotion_ids=[f"{nth:0128}" for nth in range(256)])
    engine = policies.start()
    policies.home.wait_for("Q_DREAM_TRIGGER", len(long))
    asked = policies.home.wait_for("Q_CURIOSITY_INVESTIGATE", WAITING)
    assert len({one.facts["question_id"] for one in asked}) == len(asked) == WAITING
    assert engine.stop() == 0
    assert policies.home.dead() == []


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


def test_rules_that_cannot_be_used_keep_the_engine_from_starting_and_that_is_all_it_says(policies: Policies) -> None:
    """A person reads one line that says where the slip is, not a traceback beneath it."""
    policies.rules(ON_PROMOTIONS | {"when": [{"fresh": "event.facts.unacknowledgd >= 1"}]})
    engine = policies.home.daemon("policy_engine")
    assert engine.process.wait(60) == 78
    assert "there is no 'unacknowledgd'" in engine.tail()
    assert "Traceback" not in engine.tail()
