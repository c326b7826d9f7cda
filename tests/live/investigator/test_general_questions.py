"""Questions that name no module, over a real bus. If this fails, a person is told inventions, or secrets leave."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.live.investigator.conftest import Desk, claim
from tests.support.model_server import Plan, says

pytestmark = [
    pytest.mark.xdist_group("investigator"),
    pytest.mark.may_leak("what all share is looked after at the end"),
]
QUESTION = "When was the boiler serviced?"


def answers(*claims, more=(), **fields) -> Plan:
    whole = {"answer": list(claims), "more": list(more), "confidence": 0.8, "unknowns": [], **fields}
    return says(json.dumps(whole))


@pytest.fixture
def notes(desk: Desk, tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "heating.md").write_text("# Heating\n\nThe boiler was serviced in March.\n")
    (folder / "chimney.md").write_text("The sweep came in May.\n")
    (folder / "passwords.md").write_text("boiler portal: hunter2\n")
    (tmp_path / "outside.md").write_text("not for you\n")
    (folder / "link.md").symlink_to(tmp_path / "outside.md")
    return folder


def test_a_question_is_answered_from_what_was_read_and_the_model_may_ask_for_more_of_it(desk, notes, tmp_path):
    """An answer rests on files that can be checked; the model gets nothing from outside, however it asks."""
    more = [
        {"kind": "search", "what": "chimney sweep"},
        {"kind": "file", "what": str(tmp_path / "outside.md")},
        {"kind": "file", "what": "../outside.md"},
        {"kind": "file", "what": "link.md"},
    ]
    server = desk.server
    server.plans.append(answers(more=more, hypothesis={**claim("Not shown yet."), "verdict": "undecided"}))
    server.plans.append(
        answers(
            claim("In March.", "E1"), claim("The sweep came in May.", "E2"), claim("By Ada.", "E3"),
            hypothesis={**claim("March it was.", "E1"), "verdict": "confirmed"},
        )
    )  # fmt: skip
    desk.start(folders=[str(notes)])
    facts = desk.end(desk.ask(question=QUESTION, hypothesis="It was in March.")).facts
    told = json.dumps(server.questions)
    assert (facts["subject"], facts["method"]) == ("general", "model")
    assert facts["summary"] == "In March. The sweep came in May."
    assert (facts["verdict"], facts["findings"][0]) == ("confirmed", "Supposition confirmed: March it was. [1]")
    assert [Path(one["ref"]).name for one in facts["evidence"]] == ["heating.md", "chimney.md"]
    for one in facts["evidence"]:
        assert hashlib.sha256(Path(one["ref"]).read_bytes()).hexdigest() == one["sha256"]
    assert not {"hunter2", "not for you"} & {word for word in ("hunter2", "not for you") if word in told}
    assert len(server.questions) == 2


def test_what_nothing_shows_is_not_answered(desk, notes):
    """Words without evidence are no answer: the person hears that it is unknown, and what was looked at."""
    server = desk.server
    server.usual = answers(claim("In April, I think.", "E9"), unknowns=["the day"])
    desk.start(folders=[str(notes)])
    found = desk.end(desk.ask(question=QUESTION))
    assert (found.signal, found.facts["reason"]) == ("Q_INVESTIGATION_FAILED", "unknown")
    assert "April" not in json.dumps(found.facts)
    assert "heating.md (sha256" in found.facts["detail"]


def test_without_a_model_a_general_question_fails_honestly_with_what_was_gathered(desk, notes):
    """Nothing is invented; the person gets the files that they may look into themselves, and may ask later."""
    desk.start(folders=[str(notes)])
    with desk.without_a_model():
        facts = desk.end(desk.ask(question=QUESTION)).facts
    assert (facts["reason"], facts["retryable"]) == ("no_model", True)
    assert "heating.md (sha256" in facts["detail"]


def test_a_kill_between_two_rounds_asks_each_round_once(desk, notes):
    """Killed while the model thinks for the second time: the first round is not paid again, the end comes once."""
    server = desk.server
    server.plans.append(answers(more=[{"kind": "search", "what": "chimney"}]))
    server.plans.append(replace(answers(claim("In March.", "E1")), ends="hold"))
    running = desk.start(folders=[str(notes)])
    asked = desk.ask(question=QUESTION)
    server.until("asked", 2)
    running.kill()
    server.go.set()
    desk.answered(2)
    (notes / "heating.md").write_text("gone\n")
    desk.investigator()
    found = desk.end(asked)
    assert len(server.questions) == 2
    assert found.facts["summary"] == "In March."
