"""All of cognition at once, from what a person drops to what is done about it, on one bus that is killed meanwhile.

If this fails, daemons that work alone do not work together: a person's module, promotion or question is lost, or acted
on twice, or a model that died is passed off as an answer.
"""

from __future__ import annotations

import json
from dataclasses import replace

from signals.envelope import Signal
from tests.live.cognition.conftest import Everything
from tests.support.commands import run
from tests.support.model_server import says

KILLED = ("advisory_monitor", "policy_engine", "bus")
VOICE = {
    "text": "What is JSON?",
    "confidence": 0.9,
    "language": "en",
    "audio_duration_s": 1,
    "latency_s": {"vad": 0.1, "stt": 0.2},
    "engine": "test",
}


def test_everything_on_from_what_is_dropped_to_what_is_done(everything: Everything) -> None:
    """One constellation, every claim: each step's sentence says what a person would miss."""
    a_dropped_module_is_integrated_in_the_models_words(everything)
    what_is_asked_again_is_linked_with_what_was_found(everything)
    three_promotions_lead_to_one_dream_whatever_is_killed(everything)
    a_voice_is_answered_aloud(everything)
    circles_come_to_an_end(everything)
    a_server_that_dies_in_mid_sentence_costs_no_answer(everything)
    when_all_servers_are_dead_that_is_said(everything)
    nothing_was_told_or_done_twice(everything)
    rehearsal_finds_what_really_happened(everything)


def a_dropped_module_is_integrated_in_the_models_words(everything: Everything) -> None:
    """A person drops a module and would not find it in the registry, or not what it is for."""
    integrated, story = _integrated(everything, "garden")
    assert integrated.facts["summary"] == "garden: Waters what grows."
    assert set(integrated.taint) >= {"file", "model"}
    assert [one.signal for one in story] == [
        "Q_MODULE_DISCOVERED",
        "Q_CURIOSITY_INVESTIGATE",
        "Q_MODEL_REQUEST",
        "Q_MODEL_RESPONSE",
        "Q_INVESTIGATION_COMPLETE",
        "Q_MODULE_INTEGRATED",
    ]


def what_is_asked_again_is_linked_with_what_was_found(everything: Everything) -> None:
    """A person would read the same finding as news."""
    (first,) = everything.home.signals("Q_INVESTIGATION_COMPLETE")
    facts = {"question": "What is it?", "question_id": "mine", "priority": "normal", "evidence": []}
    everything.say("Q_CURIOSITY_INVESTIGATE", module_path="garden", **facts)
    (linked,) = everything.home.wait_for("Q_FINDING_LINKED")
    assert linked.facts["duplicate_of"] == first.facts["investigation_id"]


def three_promotions_lead_to_one_dream_whatever_is_killed(everything: Everything) -> None:
    """A person drops three promotions and would get three cycles, one a minute, or none after a crash."""
    home = everything.home
    everything.promote("p-1", "p-2", "p-3")
    everything.kill("advisory_monitor")  # before anything is told
    everything.start("advisory_monitor")
    (detected,) = home.wait_for("Q_PROMOTIONS_DETECTED")
    assert sorted(detected.facts["promotion_ids"]) == ["p-1", "p-2", "p-3"]
    everything.kill(*KILLED)  # while the rule waits
    everything.start(*KILLED)
    (dream,) = home.wait_for("Q_DREAM_TRIGGER")
    assert (dream.correlation_id, dream.facts["promotion_count"]) == (detected.id, 3)
    everything.kill(*KILLED)  # when it has just fired
    everything.start(*KILLED)
    everything.promote("p-4")
    _, fourth = home.wait_for("Q_PROMOTIONS_DETECTED", 2)
    (decided,) = home.wait_for("Q_POLICY_DECIDED", trigger_id=fourth.id)
    assert decided.facts["outcome"] == "suppressed"


def a_voice_is_answered_aloud(everything: Everything) -> None:
    """A person who speaks would hear nothing."""
    everything.near.plans.append(says("A format", " for data."))
    said = everything.say("Q_USER_VOICE", **VOICE)
    (answer,) = everything.home.wait_for("Q_SPEAK", text="A format for data.")
    assert (answer.correlation_id, answer.facts["urgency"]) == (said.id, "when_attended")


def circles_come_to_an_end(everything: Everything) -> None:
    """Two rules that feed each other would keep the machine busy for ever."""
    home = everything.home
    braked = everything.say("Q_TEA_MADE", cup="braked")
    _, again = home.wait_for("Q_TEA_MADE", 2, cup="braked")
    (decided,) = home.wait_for("Q_POLICY_DECIDED", trigger_id=again.id, rule="braked")
    assert decided.facts["outcome"] == "suppressed"
    assert len(everything.story(braked, "Q_TEA_WANTED")) == 1
    endless = everything.say("Q_TEA_MADE", cup="endless")  # its key hides each round from the cooldown
    home.wait_for("Q_DEAD_LETTER_ADDED")
    assert {dead["reason"] for dead in home.dead()} == {"loop"}
    assert len(everything.story(endless, "Q_TEA_WANTED")) < 20


def a_server_that_dies_in_mid_sentence_costs_no_answer(everything: Everything) -> None:
    """The next server answers; where there is none, the person learns within the deadline that no model helped."""
    near, far = everything.near, everything.far
    near.plans.append(replace(near.usual, ends="dies", pieces=('{"purpose": ',)))
    integrated, story = _integrated(everything, "gate")
    near.until("died")
    (response,) = [one for one in story if one.signal == "Q_MODEL_RESPONSE"]
    assert (response.facts["server"], response.facts["attempts"]) == (far.url, 2)
    assert integrated.facts["summary"] == "gate: Keeps people out."
    far.plans.append(replace(far.usual, ends="dies", pieces=('{"purpose": ',)))
    integrated, story = _integrated(everything, "shed")
    far.until("died")
    asked, failed = (next(one for one in story if one.signal == name) for name in ("Q_MODEL_REQUEST", "Q_MODEL_FAILED"))
    assert failed.causation_id == asked.id
    assert (failed.facts["reason"], failed.facts["retryable"]) == ("unavailable", True)
    _is_static_and_says_so(integrated, story, "shed")


def when_all_servers_are_dead_that_is_said(everything: Everything) -> None:
    """The registry gets what reading told, and neither the findings nor a voice pretend that a model answered."""
    home = everything.home
    for role in ("primary", "research"):
        for server in (everything.near, everything.far):
            home.wait_for("Q_MODEL_UNAVAILABLE", role=role, server=server.url)
    integrated, story = _integrated(everything, "attic")
    _is_static_and_says_so(integrated, story, "attic")
    assert not [one for one in story if one.signal.startswith("Q_MODEL_")]
    said = everything.say("Q_USER_VOICE", **VOICE)
    apology = home.wait_for("Q_SPEAK", 2)[-1]
    assert (apology.correlation_id, "no model answers" in apology.facts["text"]) == (said.id, True)


def nothing_was_told_or_done_twice(everything: Everything) -> None:
    """After all that, four modules and four promotions: a kill would have doubled one of them."""
    home = everything.home
    for name in ("Q_MODULE_DISCOVERED", "Q_MODULE_INTEGRATED"):
        assert sorted(one.facts["module_name"] for one in home.signals(name)) == ["attic", "garden", "gate", "shed"]
    assert len(home.signals("Q_PROMOTIONS_DETECTED")) == 2
    assert len(home.signals("Q_DREAM_TRIGGER")) == 1
    modules = {one.id for one in home.signals("Q_MODULE_DISCOVERED")}
    assert modules.isdisjoint(one.correlation_id for one in home.signals("Q_SPEAK"))  # no model's answer but a voice's


def rehearsal_finds_what_really_happened(everything: Everything) -> None:
    """A person who tries other rules on the past compares them with a past that never was."""
    home = everything.home
    done = run("ligand", home.home, "policy", "rehearse", str(everything.rules), "--since", "1h", "-o", "json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    told = [one for one in home.signals() if one.source == "policy_engine"]
    acts = {one.id for one in told if not one.signal.startswith(("Q_POLICY_", "Q_DAEMON_"))}
    assert (found["gained"], found["lost"], found["shadow"]) == ([], [], [])
    assert {act["id"] for act in found["same"]} == acts
    assert [act["rule"] for act in found["stopped"]] == ["endless"]
    assert len(acts) >= 10


def _integrated(everything: Everything, module: str) -> tuple[Signal, list[Signal]]:
    """Drop a module; its integration, and the whole story as far as it is told by daemons on the way there."""
    everything.drop_module(module)
    (integrated,) = everything.home.wait_for("Q_MODULE_INTEGRATED", module_name=module)
    (discovered,) = everything.home.wait_for("Q_MODULE_DISCOVERED", module_name=module)
    assert integrated.correlation_id == discovered.id
    told = everything.story(discovered)
    return integrated, [one for one in told if not one.signal.startswith("Q_POLICY_")]


def _is_static_and_says_so(integrated: Signal, story: list[Signal], module: str) -> None:
    (found,) = [one.facts for one in story if one.signal == "Q_INVESTIGATION_COMPLETE"]
    assert (found["method"], found["without_model"]) == ("static", "unavailable")
    assert [line for line in found["findings"] if line.startswith("No model helped: ")]
    assert integrated.facts["summary"] == f"{module}: Looks after the {module}."
