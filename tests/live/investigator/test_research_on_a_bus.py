"""The investigator with a model worker over a real bus. If this fails, findings are invented, lost or paid twice."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from tests.live.investigator.conftest import about, claim
from tests.support.commands import ligand, run

pytestmark = [
    pytest.mark.xdist_group("investigator"),
    pytest.mark.may_leak("what all share is looked after at the end"),
]


def test_a_module_is_understood_with_the_model_and_only_what_it_can_show_is_kept(desk):
    """A person learns what a module is for; what the model claims without having read it never reaches them."""
    desk.module("door")
    server = desk.server
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
    desk.start()
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
    desk.module("gate")
    server = desk.server
    usual = about(claim("Knows the future.", "E9"))
    server.plans.extend([replace(usual, ends="cut"), usual])
    desk.start()
    cut, baseless = desk.end(desk.ask("gate", hypothesis="It opens.")), desk.end(desk.ask("gate"))
    assert (cut.facts["method"], cut.facts["without_model"]) == ("static", "unavailable")
    assert (cut.facts["verdict"], "verdict" in baseless.facts) == ("undecided", False)
    assert cut.facts["findings"][0].startswith("Supposition undecided: no model helped: unavailable")
    assert (baseless.facts["method"], baseless.facts["without_model"]) == ("static", "no_evidence")
    assert "future" not in json.dumps(baseless.facts)


def test_a_kill_while_the_model_thinks_costs_neither_the_question_nor_a_second_answer(desk):
    """Killed in the middle: the model is asked once, its answer is used, and the question has one end."""
    desk.module("hatch")
    server = desk.server
    server.plans.append(replace(about(claim("Watches the front door.", "E1")), ends="hold"))
    running = desk.start()
    asked = desk.ask("hatch")
    server.until("asked")
    running.kill()
    desk.module("hatch", '"""Changed meanwhile."""\n')
    server.go.set()
    desk.answered()
    desk.investigator()
    found = desk.end(asked)
    assert len(server.questions) == 1
    assert found.facts["summary"] == "hatch: Watches the front door."
    assert not list((desk.home.paths.state_of("investigator") / "open").iterdir())
    assert not desk.home.dead()


def test_so_many_questions_are_put_to_the_model_at_a_time_and_the_urgent_one_first(desk):
    """Background questions would take all the model's time, and a person wait behind each of them."""
    server = desk.server
    server.usual = about(claim("Watches the front door.", "E1"))
    server.plans.append(replace(server.usual, ends="hold"))
    desk.start(model={"at_once": 1})
    for name in ("early", "late", "urgent"):
        desk.module(name)
    desk.ask("early")
    server.until("asked")
    asked = [desk.ask("late", priority="low"), desk.ask("urgent", priority="critical")]
    while len(list((desk.home.paths.state_of("investigator") / "open").glob("*.json"))) < 3:
        pass  # until both have been read, and wait for the model
    server.go.set()
    for one in asked:
        desk.end(one)
    modules = [body["messages"][-1]["content"].split()[1].rstrip(",") for body in server.questions]
    assert modules == ["early", "urgent", "late"]
    assert [event for event in server.events if event in ("asked", "answered")] == ["asked", "answered"] * 3


def test_a_policy_asks_the_model_again_only_when_something_changed_a_person_always(desk):
    """Rules that ask about a module every day cost no tokens until it changes; a person who asks is answered afresh."""
    desk.module("window")
    server = desk.server
    server.usual = about(claim("Watches the front door.", "E1"))
    desk.start()
    first = desk.end(desk.ask("window", by="policy_engine"))
    same = desk.end(desk.ask("window", by="policy_engine"))
    assert len(server.questions) == 1
    assert same.facts["summary"] == first.facts["summary"]
    said = f"Unchanged and not investigated again since investigation {first.facts['investigation_id']}."
    assert same.facts["findings"][-1] == said
    assert same.facts["question_id"] == f"q{desk.asked}"
    desk.end(desk.ask("window"))
    assert len(server.questions) == 2
    desk.module("window", '"""Changed."""\n')
    desk.end(desk.ask("window", by="policy_engine"))
    assert len(server.questions) == 3


def test_a_subject_that_failed_five_times_is_left_alone_until_a_person_says_otherwise(desk):
    """A rule that keeps asking about what cannot be found does no work; the person sees it, and can clear it."""
    home = desk.home.home
    running = desk.start()
    assert desk.end(desk.ask("nonesuch" + "/deep" * 60)).facts["reason"] == "phantom"  # a long name is kept too
    for _ in range(5):
        assert desk.end(desk.ask("nonesuch")).facts["reason"] == "phantom"
    running.kill()
    desk.investigator()
    facts = desk.end(desk.ask("nonesuch")).facts
    assert (facts["reason"], facts["retryable"]) == ("suppressed", False)
    assert "ligand suppress clear nonesuch" in facts["detail"]
    assert "nonesuch  phantom: " in run("ligand", None, "suppress", "list", "--home", str(home)).out.decode()
    (listed,) = [one for one in _listed(home) if one["subject"] == "nonesuch"]
    assert (listed["count"], listed["suppressed"]) == (5, True)
    assert run("ligand", None, "suppress", "clear", "nonesuch", "--home", str(home)).code == 0
    desk.module("nonesuch")
    while any(one["subject"] == "nonesuch" for one in _listed(home)):
        pass
    assert ligand(home, "suppress", "clear", "--all").code == 0
    assert desk.end(desk.ask("nonesuch")).signal == "Q_INVESTIGATION_COMPLETE"
    assert ligand(home, "suppress", "clear", "nonesuch").code == 1


def test_a_root_that_comes_later_is_used_without_a_restart(desk, tmp_path):
    """A root on a disk that is not there yet, or with a slip in its name, would be left out in silence for ever."""
    later = tmp_path / "later"
    desk.start()
    running = desk.start(roots=[str(later)])
    running.heard(f"STATUS=cannot see {later}: not there, or not granted")
    assert f"not granted: {later}" in desk.end(desk.ask("cellar")).facts["detail"]
    (later / "cellar").mkdir(parents=True)
    (later / "cellar/__init__.py").touch()
    running.heard("STATUS=ready")
    assert desk.end(desk.ask("cellar")).signal == "Q_INVESTIGATION_COMPLETE"
    shutil.rmtree(later)
    running.heard(f"STATUS=cannot see {later}: not there, or not granted")


def test_a_folder_that_is_taken_away_costs_no_question(desk):
    """A person clears a folder away: questions would end as dead letters while `ligand status` says ready."""
    desk.module("lock")
    folder = desk.home.paths.state_of("investigator")
    running = desk.start()
    shutil.rmtree(folder)
    assert desk.end(desk.ask("lock")).signal == "Q_INVESTIGATION_COMPLETE"
    assert (folder / "curiosity_investigations.jsonl").exists()
    shutil.rmtree(folder)
    folder.touch()  # as where the unit may not make it again
    held = desk.ask("lock")
    trouble = f"{folder} cannot be used (Not a directory): make it again, or restart this daemon; its work waits"
    running.heard(f"STATUS={trouble}")
    told = ligand(desk.home.home, "status", "-o", "json").out.decode()
    assert ("degraded", trouble) in [(one["state"], one["message"]) for one in json.loads(told)["daemons"]]
    assert not desk.ends(held)
    folder.unlink()
    assert desk.end(held).signal == "Q_INVESTIGATION_COMPLETE"
    running.heard("STATUS=ready")
    assert not desk.home.dead()


def _listed(home) -> list[dict]:
    return [json.loads(line) for line in ligand(home, "suppress", "list", "-o", "json").out.splitlines()]


def test_an_answer_that_comes_too_late_is_heard_by_nobody(desk):
    """The question was answered without the model; what it says afterwards changes nothing and doubles nothing."""
    desk.module("shutter")
    server = desk.server
    server.plans.append(replace(about(claim("Watches the front door.", "E1")), ends="hold"))
    desk.start(model={"patience_s": 1.5})
    asked = desk.ask("shutter")
    found = desk.end(asked)
    assert (found.facts["method"], found.facts["without_model"]) == ("static", "timeout")
    server.go.set()
    desk.answered()
    desk.end(desk.ask("nothing_here"))
    assert [one.facts["method"] for one in desk.ends(asked)] == ["static"]
    assert not desk.home.dead()
