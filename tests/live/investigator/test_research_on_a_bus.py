"""The investigator with a model worker over a real bus. If this fails, findings are invented, lost or paid twice."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

from tests.live.investigator.conftest import about, claim
from tests.support.commands import run
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
                hypothesis={**claim("It watches a camera.", "E1"), "verdict": "refuted"},
            )
        )
        desk.start(server)
        found = desk.end(desk.ask("door", hypothesis="It opens the door."))
        (asked,) = server.questions
    facts = found.facts
    assert (facts["method"], facts["model"]) == ("model", "test-model")
    assert facts["summary"] == "door: Watches the front door."
    assert facts["capabilities"] == ["watch a camera", "watch(camera)"]
    assert facts["verdict"] == "refuted"
    assert facts["findings"][:2] == ["Supposition refuted: It watches a camera. [1]", "Watches the front door. [1]"]
    assert {"Integrates: a camera daemon [1]", "Unknown: which camera"} <= set(facts["findings"])
    assert "Left out: 2 claims of the model that cited nothing of what was read." in facts["findings"]
    assert "radio" not in json.dumps(facts)
    assert facts["tokens"] > 0
    assert 0 < facts["confidence"] < 0.9
    assert set(found.taint) >= {"file", "model"}
    assert "def watch(camera)" in asked["messages"][-1]["content"]


def test_a_model_that_fails_or_cites_nothing_leaves_the_static_result(desk):
    """A stream that is cut, or words without evidence, are never taken for findings, nor for a verdict."""
    desk.module("door")
    with model_server() as server:
        usual = about(claim("Knows the future.", "E9"))
        server.plans.extend([replace(usual, ends="cut"), usual])
        desk.start(server)
        cut, baseless = desk.end(desk.ask("door", hypothesis="It opens.")), desk.end(desk.ask("door"))
    assert (cut.facts["method"], cut.facts["without_model"]) == ("static", "unavailable")
    assert (cut.facts["verdict"], "verdict" in baseless.facts) == ("undecided", False)
    assert cut.facts["findings"][0].startswith("Supposition undecided: no model helped: unavailable")
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


def test_a_policy_asks_the_model_again_only_when_something_changed_a_person_always(desk):
    """Rules that ask about a module every day cost no tokens until it changes; a person who asks is answered afresh."""
    desk.module("door")
    with model_server() as server:
        server.usual = about(claim("Watches the front door.", "E1"))
        desk.start(server)
        first = desk.end(desk.ask("door", by="policy_engine"))
        same = desk.end(desk.ask("door", by="policy_engine"))
        assert len(server.questions) == 1
        assert same.facts["summary"] == first.facts["summary"]
        said = f"Unchanged and not investigated again since investigation {first.facts['investigation_id']}."
        assert same.facts["findings"][-1] == said
        assert same.facts["question_id"] == "q2"
        desk.end(desk.ask("door"))
        assert len(server.questions) == 2
        desk.module("door", '"""Changed."""\n')
        desk.end(desk.ask("door", by="policy_engine"))
        assert len(server.questions) == 3


def test_a_subject_that_failed_five_times_is_left_alone_until_a_person_says_otherwise(desk):
    """A rule that keeps asking about what cannot be found does no work; the person sees it, and can clear it."""
    home = desk.home.home
    running = desk.start()
    for _ in range(5):
        assert desk.end(desk.ask("nonesuch")).facts["reason"] == "phantom"
    running.kill()
    desk.investigator()
    facts = desk.end(desk.ask("nonesuch")).facts
    assert (facts["reason"], facts["retryable"]) == ("suppressed", False)
    assert "ligand suppress clear 'nonesuch'" in facts["detail"]
    assert "nonesuch  phantom: " in run("ligand", None, "suppress", "list", "--home", str(home)).out.decode()
    (listed,) = _listed(home)
    assert (listed["subject"], listed["count"], listed["suppressed"]) == ("nonesuch", 5, True)
    assert run("ligand", None, "suppress", "clear", "nonesuch", "--home", str(home)).code == 0
    desk.module("nonesuch")
    while _listed(home):
        pass
    assert run("ligand", home, "suppress", "clear", "--all").code == 0
    assert desk.end(desk.ask("nonesuch")).signal == "Q_INVESTIGATION_COMPLETE"
    assert run("ligand", home, "suppress", "clear", "nonesuch").code == 1


def test_a_folder_that_is_taken_away_costs_no_question(desk):
    """A person clears a folder away: questions would end as dead letters while `ligand status` says ready."""
    desk.module("door")
    folder = desk.home.paths.state_of("investigator")
    running = desk.start()
    shutil.rmtree(folder)
    assert desk.end(desk.ask("door")).signal == "Q_INVESTIGATION_COMPLETE"
    assert (folder / "curiosity_investigations.jsonl").exists()
    shutil.rmtree(folder)
    folder.touch()  # as where the unit may not make it again
    held = desk.ask("door")
    trouble = f"{folder} cannot be used (Not a directory): make it again, or restart this daemon; its work waits"
    running.heard(f"STATUS={trouble}")
    told = run("ligand", desk.home.home, "status", "-o", "json").out.decode()
    assert ("degraded", trouble) in [(one["state"], one["message"]) for one in json.loads(told)["daemons"]]
    assert not desk.ends(held)
    folder.unlink()
    assert desk.end(held).signal == "Q_INVESTIGATION_COMPLETE"
    running.heard("STATUS=ready")
    assert not desk.home.dead()


def _listed(home) -> list[dict]:
    found: list[dict] = json.loads(run("ligand", home, "suppress", "list", "-o", "json").out)
    return found


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
