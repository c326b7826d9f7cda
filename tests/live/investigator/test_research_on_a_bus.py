"""The investigator with a model worker over a real bus. If this fails, findings are invented, lost or paid twice."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.live.investigator.conftest import about, claim
from tests.support.model_server import model_server


def test_a_module_is_understood_with_the_model_and_only_what_it_can_show_is_kept(desk):
    """A person learns what a module is for; what the model claims without having read it never reaches them."""
    desk.module("door")
    with model_server() as server:
        server.plans.append(
            about(
                claim("Watches the front door.", "E1"),
                capabilities=[claim("watch a camera", "E1"), claim("open the door by radio", "E7")],
                integration_points=[claim("a camera daemon", "[E1]")],
                risks=[claim("it may fall asleep")],
                unknowns=["which camera"],
            )
        )
        desk.start(server)
        found = desk.end(desk.ask("door"))
        (asked,) = server.questions
    facts = found.facts
    assert (facts["method"], facts["model"]) == ("model", "test-model")
    assert facts["summary"] == "door: Watches the front door."
    assert facts["capabilities"] == ["watch a camera", "watch(camera)"]
    assert facts["findings"][0] == "Watches the front door. [1]"
    assert {"Integrates: a camera daemon [1]", "Unknown: which camera"} <= set(facts["findings"])
    assert "Left out: 2 claims of the model that cited nothing of what was read." in facts["findings"]
    assert "radio" not in json.dumps(facts)
    assert facts["tokens"] > 0
    assert 0 < facts["confidence"] < 0.9
    assert set(found.taint) >= {"file", "model"}
    assert "def watch(camera)" in asked["messages"][-1]["content"]


def test_without_a_model_that_answers_the_static_result_says_so(desk):
    """The server is dead: the answer comes all the same, at once, and says that no model helped, and why."""
    desk.module("door")
    desk.start("http://127.0.0.1:9/v1")
    found = desk.end(desk.ask("door"))
    assert (found.facts["method"], found.facts["without_model"]) == ("static", "unavailable")
    assert found.facts["summary"] == "door: Watches the door."
    assert [line for line in found.facts["findings"] if line.startswith("No model helped: ")]
    assert not desk.home.signals("Q_MODEL_REQUEST")


def test_a_model_that_fails_or_cites_nothing_leaves_the_static_result(desk):
    """A stream that is cut, or words without evidence, are never taken for findings."""
    desk.module("door")
    with model_server() as server:
        usual = about(claim("Knows the future.", "E9"))
        server.plans.extend([replace(usual, ends="cut"), usual])
        desk.start(server)
        cut, baseless = desk.end(desk.ask("door")), desk.end(desk.ask("door"))
    assert (cut.facts["method"], cut.facts["without_model"]) == ("static", "unavailable")
    assert (baseless.facts["method"], baseless.facts["without_model"]) == ("static", "no_evidence")
    assert "future" not in json.dumps(baseless.facts)


def test_a_kill_while_the_model_thinks_costs_neither_the_question_nor_a_second_answer(desk):
    """Killed in the middle: the model is asked once, its answer is used, and the question has one end."""
    desk.module("door")
    with model_server() as server:
        server.plans.append(replace(about(claim("Watches the front door.", "E1")), ends="hold"))
        running = desk.start(server)
        asked = desk.ask("door")
        server.until("asked")
        running.kill()
        desk.module("door", '"""Changed meanwhile."""\n')
        server.go.set()
        desk.home.wait_for("Q_MODEL_RESPONSE")
        desk.investigator()
        found = desk.end(asked)
        assert len(server.questions) == 1
    assert found.facts["summary"] == "door: Watches the front door."
    assert not list((desk.home.paths.state_of("investigator") / "open").iterdir())
    assert not desk.home.dead()


def test_an_answer_that_comes_too_late_is_heard_by_nobody(desk):
    """The question was answered without the model; what it says afterwards changes nothing and doubles nothing."""
    desk.module("door")
    with model_server() as server:
        server.plans.append(replace(about(claim("Watches the front door.", "E1")), ends="hold"))
        desk.start(server, model={"patience_s": 1.5})
        asked = desk.ask("door")
        found = desk.end(asked)
        assert (found.facts["method"], found.facts["without_model"]) == ("static", "timeout")
        server.go.set()
        desk.home.wait_for("Q_MODEL_RESPONSE")
        desk.end(desk.ask("nothing_here"))
    assert [one.facts["method"] for one in desk.ends(asked)] == ["static"]
    assert not desk.home.dead()
