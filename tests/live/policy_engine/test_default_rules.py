"""Ligand's own rules, and rules that ask a model, on a real bus with a model worker of the test's own."""

from __future__ import annotations

from typing import Any

from tests.live.policy_engine.conftest import PROMOTIONS, Policies
from tests.live.policy_engine.test_engine_on_a_bus import sensed

VOICE = {
    "text": "What is JSON?",
    "confidence": 0.9,
    "language": "en",
    "audio_duration_s": 1,
    "latency_s": {"vad": 0.1, "stt": 0.2},
    "engine": "test",
}
MODEL = """
from services.runtime import Daemon
daemon = Daemon("thinker")
SAYS = {"role": "primary", "model": "m", "server": "here", "prompt_tokens": 1, "completion_tokens": 1,
        "latency_s": 0.1, "finish_reason": "stop"}

@daemon.on("Q_MODEL_REQUEST")
async def answer(signal, emit):
    schema = signal.facts.get("response_schema")
    if signal.facts.get("prompt") == "fail":
        emit("Q_MODEL_FAILED", role="primary", reason="unavailable", detail="down", retryable=True)
    elif schema is None:
        emit("Q_MODEL_RESPONSE", SAYS, text="A format for data.")
    else:
        choice = {"choice": schema["properties"]["choice"]["enum"][0], "reason": "it is time"}
        emit("Q_MODEL_RESPONSE", SAYS, text="", role="research", parsed=choice)

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


def thinking(policies: Policies) -> None:
    policies.home.manifest(
        "thinker", consumes=["Q_MODEL_REQUEST"], emits=["Q_MODEL_RESPONSE", "Q_MODEL_FAILED"], start="all"
    )
    bus = policies.home.running[0]
    bus.stop()
    policies.home.bus()
    policies.start()
    policies.home.script("thinker", MODEL).ready()


def test_a_voice_is_answered_and_only_a_voice(policies: Policies) -> None:
    """A person who speaks would hear nothing, or hear answers to what others asked."""
    policies.home.config("policy_engine", {})
    thinking(policies)
    said = sensed(policies, "Q_USER_VOICE", **VOICE)
    (answer,) = policies.home.wait_for("Q_SPEAK")
    assert answer.facts == {"text": "A format for data.", "urgency": "when_attended"}
    assert answer.correlation_id == said.id
    sensed(policies, "Q_USER_VOICE", **VOICE | {"text": "fail"})
    apology = policies.home.wait_for("Q_SPEAK", 2)[-1]
    assert "no model answers" in apology.facts["text"]
    request = {"role": "primary", "prompt": "x", "deadline_s": 60, "stream": False, "purpose": "another's"}
    other = sensed(policies, "Q_MODEL_REQUEST", **request)
    policies.home.wait_for("Q_MODEL_RESPONSE", 2)
    dream = sensed(policies)
    policies.home.wait_for("Q_POLICY_DECIDED", trigger_id=dream.id)
    assert {s.correlation_id for s in policies.home.signals("Q_SPEAK")}.isdisjoint({other.id})


def test_a_model_chooses_among_what_is_listed(policies: Policies) -> None:
    """A model's choice would be lost, unexplained, or carried out on words that a stranger planted."""
    policies.rules(CHOOSES, CHOOSES | {"id": "shadowed", "mode": "shadow"})
    thinking(policies)
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
