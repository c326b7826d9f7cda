"""Rules that ask a model, on a real bus with a model worker of the test's own."""

from __future__ import annotations

from typing import Any

from tests.live.policy_engine.conftest import PROMOTIONS, Policies
from tests.live.policy_engine.test_engine_on_a_bus import sensed
from tests.support.constellation import Running

MODEL = """
from services.runtime import Daemon
daemon = Daemon("thinker")
SAYS = {"role": "research", "model": "m", "server": "here", "prompt_tokens": 1, "completion_tokens": 1,
        "latency_s": 0.1, "finish_reason": "stop"}

@daemon.on("Q_MODEL_REQUEST")
async def answer(signal, emit):
    choice = {"choice": signal.facts["response_schema"]["properties"]["choice"]["enum"][0], "reason": "it is time"}
    emit("Q_MODEL_RESPONSE", SAYS, text="", parsed=choice)

daemon.run()
"""
CHOOSES: dict[str, Any] = {
    "id": "choose",
    "signals": ["Q_PROMOTIONS_DETECTED"],
    "cooldown": "1s",
    "key": "event.facts.promotions_path",
    "choose": {
        "question": "What now?",
        "actions": [{"name": "say", "about": "say it", "do": [{"emit": "Q_SPEAK", "facts": {"text": "Promotions."}}]}],
    },
}


def thinking(policies: Policies) -> Running:
    policies.home.manifest("thinker", consumes=["Q_MODEL_REQUEST"], emits=["Q_MODEL_RESPONSE"], start="all")
    bus = policies.home.running[0]
    bus.stop()
    policies.home.bus()
    engine = policies.start()
    policies.home.script("thinker", MODEL).ready()
    return engine


def test_a_model_chooses_among_what_is_listed(policies: Policies) -> None:
    """A model's choice would be lost, unexplained, or carried out on words that a stranger planted."""
    policies.rules(CHOOSES, CHOOSES | {"id": "shadowed", "mode": "shadow"})
    engine = thinking(policies)
    sensed(policies)
    (told,) = policies.home.wait_for("Q_POLICY_DECIDED", rule="choose")
    (spoken,) = policies.home.wait_for("Q_SPEAK")
    assert (told.facts["mode"], told.facts["model"], told.facts["emitted"]) == ("model", "m", [spoken.id])
    assert told.facts["because"][-1] == "the model chose say: it is time"
    (shadow,) = policies.home.wait_for("Q_POLICY_DECIDED", rule="shadowed")
    assert shadow.facts["outcome"] == "shadow"
    with policies.home.emitter() as sensor:
        web = sensor.signal("Q_PROMOTIONS_DETECTED", PROMOTIONS | {"promotions_path": "/web"}, taint=("web",))
        sensor.emit(web)
    (held,) = policies.home.wait_for("Q_POLICY_DECIDED", rule="choose", trigger_id=web.id)
    assert held.facts["outcome"] == "shadow"
    assert "taint (web)" in held.facts["would_have_needed"][0]
    assert len(policies.home.signals("Q_SPEAK")) == 1
    _is_asked_with_what_was_decided_before_a_restart(policies, engine)


def _is_asked_with_what_was_decided_before_a_restart(policies: Policies, engine: Running) -> None:
    """After each upgrade a model would be told that nothing was ever done, and do it again."""
    engine.stop()
    policies.start()
    count = len(policies.home.signals("Q_MODEL_REQUEST"))
    sensed(policies, promotions_path="/later")
    policies.home.wait_for("Q_MODEL_REQUEST", count + 1)
    asked = policies.home.signals("Q_MODEL_REQUEST")[count:]
    assert any("Q_PROMOTIONS_DETECTED: fired (Q_SPEAK)" in one.facts["messages"][-1]["content"] for one in asked)
