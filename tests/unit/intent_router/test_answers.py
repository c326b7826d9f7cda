"""The answer beside the file: there when the story ended, each signal once, nothing for others' stories."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from services.intent_router.answers import Answers
from services.intent_router.folder import Claim, Folder, State
from services.intent_router.logic import root_key
from services.intent_router.notes import Note
from signals.ids import uuid7
from tests.unit.intent_router.rig import CATALOGUE, root_id


@dataclass(frozen=True)
class Ended:
    signal: str
    correlation_id: str | None
    id: str = field(default_factory=uuid7)
    source: str = "capability_integrator"
    timestamp: str = "2026-01-01T00:00:00.000000Z"

    @property
    def facts(self) -> dict[str, Any]:
        return CATALOGUE[self.signal].examples[0]


@pytest.fixture
def answers(tmp_path: Path) -> Answers:
    folder = Folder(tmp_path / "intents", uuid7)
    folder.ensure()
    return Answers(folder, root_id)


def story_of(answers: Answers) -> tuple[Claim, str]:
    (answers.folder.root / "a.json").write_text("{}")
    claim = answers.folder.claim("a.json")
    assert claim is not None
    answers.notes.write([Note(claim, answers.folder.read(claim, 100)[1])])
    return claim, root_id(root_key(claim.claim_id))


def written(answers: Answers, claim: Claim) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((answers.folder.done / f"{claim.name}.answer.json").read_text())
    return found


def test_an_integrated_module_is_named_with_its_key(answers: Answers) -> None:
    """The person would have to search the signals for what became of the question."""
    claim, story = story_of(answers)
    answers.record(Ended("Q_INVESTIGATION_COMPLETE", story), ends=False)
    assert not list(answers.folder.done.glob("*.answer.json"))
    end = Ended("Q_MODULE_INTEGRATED", story)
    answers.record(end, ends=True)
    found = written(answers, claim)
    assert found["outcome"] == "integrated"
    assert found["capability_key"] == end.facts["capability_key"]
    assert found["found"] == CATALOGUE["Q_INVESTIGATION_COMPLETE"].examples[0]["summary"]
    assert found["file"] == "a.json"
    assert found["see"] == f"signal-tap trace {story}"


@pytest.mark.parametrize(
    ("signal", "outcome"),
    [
        ("Q_INVESTIGATION_FAILED", "failed"),
        ("Q_INVESTIGATION_TIMEOUT", "timed out"),
        ("Q_INTEGRATION_SKIPPED", "skipped"),
        ("Q_INTEGRATION_FAILED", "failed"),
    ],
)
def test_a_story_that_ends_badly_is_answered_too(answers: Answers, signal: str, outcome: str) -> None:
    """Silence would look like work that goes on."""
    claim, story = story_of(answers)
    answers.record(Ended(signal, story), ends=True)
    assert written(answers, claim)["outcome"] == outcome


def test_a_redelivered_ending_is_written_once_and_a_second_one_is_added(answers: Answers) -> None:
    """The answer would grow with every restart, or forget the first ending."""
    claim, story = story_of(answers)
    first, second = Ended("Q_INTEGRATION_SKIPPED", story), Ended("Q_INVESTIGATION_FAILED", story)
    for signal in (first, first, second, first):
        answers.record(signal, ends=True)
    found = written(answers, claim)
    assert [entry["id"] for entry in found["signals"]] == [first.id, second.id]
    assert found["ended_by"] == "Q_INVESTIGATION_FAILED"


@pytest.mark.parametrize("moved", [False, True])
def test_an_answer_to_a_part_of_the_file_says_so(answers: Answers, moved: bool) -> None:
    """The whole text would lie in done/ beside an answer to half of it, and nobody would notice."""
    claim, story = story_of(answers)
    if moved:
        answers.folder.finish(claim)
    path = (answers.folder.done if moved else answers.folder.working) / claim.name
    with path.open("a") as file:
        file.write("the rest")
    answers.record(Ended("Q_INTEGRATION_SKIPPED", story), ends=True)
    assert "changed after it was read" in written(answers, claim)["warning"]


def test_an_answer_to_the_whole_file_warns_of_nothing(answers: Answers) -> None:
    """A warning that is always there is read by nobody."""
    claim, story = story_of(answers)
    answers.folder.finish(claim)
    answers.record(Ended("Q_INTEGRATION_SKIPPED", story), ends=True)
    assert "warning" not in written(answers, claim)


def test_an_answer_lost_after_its_note_is_written_by_the_redelivery(answers: Answers) -> None:
    """A crash between the two writes would leave the question without an answer."""
    claim, story = story_of(answers)
    end = Ended("Q_INTEGRATION_SKIPPED", story)
    path = answers.record(end, ends=True)
    assert path is not None
    path.unlink()
    answers.record(end, ends=True)
    assert written(answers, claim)["ended_by"] == "Q_INTEGRATION_SKIPPED"


def test_an_answer_may_come_before_the_file_is_moved(answers: Answers) -> None:
    """A fast investigator ends the story while the file still stands in working/."""
    claim, story = story_of(answers)
    assert answers.record(Ended("Q_INTEGRATION_SKIPPED", story), ends=True)
    answers.folder.finish(claim)
    assert answers.record(Ended("Q_INVESTIGATION_FAILED", story), ends=True)
    assert (answers.folder.done / claim.name).read_text() == "{}"


@pytest.mark.parametrize("story", [None, "", "01935b0e-6a70-7cc3-98c4-dc0c0c07398f", "../../etc/passwd", ".."])
def test_a_story_that_no_file_began_is_ignored(answers: Answers, story: str | None) -> None:
    """Every story of the machine would leave files here."""
    story_of(answers)
    assert answers.record(Ended("Q_INTEGRATION_SKIPPED", story), ends=True) is None
    assert not list(answers.folder.done.glob("*.answer.json"))


def test_a_note_that_was_never_finished_hides_no_other(answers: Answers) -> None:
    """A disk that was full for a moment would cost later questions of the same moment their answers."""
    claim, story = story_of(answers)
    (file,) = answers.stories.iterdir()
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2])
    assert answers.notes.find(story) is None
    read = answers.folder.read(claim, 100)[1]
    answers.notes.write([Note(claim, read)])
    assert answers.notes.find(story) == Note(claim, read)


def test_a_note_made_again_keeps_what_was_read_first(answers: Answers) -> None:
    """A router that was killed reads the file anew; an answer to the old text would pass for one to this."""
    claim, story = story_of(answers)
    (answers.folder.working / claim.name).write_text("{} and more")
    answers.notes.write([Note(claim, answers.folder.read(claim, 100)[1])])
    found = answers.notes.find(story)
    assert found is not None
    assert found.read.size == 2


@pytest.mark.parametrize("name", ["new\nline.json", 'quote".json', "bytes\udcff.json", "日本.json"])
def test_any_file_name_is_found_again(answers: Answers, name: str) -> None:
    """A question in an oddly named file would get no answer."""
    (answers.folder.root / name).write_text("{}")
    claim = answers.folder.claim(name)
    assert claim is not None
    answers.notes.write([Note(claim, State(2, 3))])
    assert answers.notes.find(root_id(root_key(claim.claim_id))) == Note(claim, State(2, 3))


def test_old_notes_are_pruned(answers: Answers) -> None:
    """The notes would outlive the files by years."""
    _, story = story_of(answers)
    (file,) = answers.stories.iterdir()
    assert answers.notes.prune(0) == 0
    assert answers.notes.prune(file.lstat().st_mtime + 1) == 1
    assert answers.notes.find(story) is None
