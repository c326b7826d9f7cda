"""Findings on a real bus. If this fails, a person reads the same twice, or two daemons ask each other for ever."""

from __future__ import annotations

import pytest

from tests.support.constellation import constellation, others
from tests.support.model_server import model_server
from tests.support.raw import attached

BASE = {
    "question": "What is it for?",
    "subject": "module",
    "py_files_count": 1,
    "has_init": True,
    "method": "model",
    "model": "m",
    "findings": [],
    "capabilities": [],
    "entry_points": [],
    "confidence": 0.8,
    "evidence": [],
    "duration_s": 1,
}


class Desk:
    def __init__(self, home) -> None:
        self.home = home

    def found(self, identity: str, module: str, summary: str, question_id: str | None = None, **facts) -> None:
        """Say, as the investigator, that something was found out."""
        whole = {**BASE, "investigation_id": identity, "question_id": question_id or f"q-{identity}", **facts}
        whole |= {"module_name": module, "summary": f"{module}: {summary}"}
        with attached(self.home.paths, "investigator") as investigator:
            investigator.emit(investigator.make("Q_INVESTIGATION_COMPLETE", whole))

    def linked(self, count: int) -> list[dict]:
        return [one.facts for one in self.home.wait_for("Q_FINDING_LINKED", count)]


@pytest.fixture
def desk(tmp_path):
    with constellation(tmp_path) as home:
        home.config("bus", {"disable": others("semantic_dedup", "investigator")})
        home.bus()
        yield Desk(home)


def test_what_says_the_same_is_linked_to_the_first_also_after_a_kill(desk):
    """The same finding, said thrice, is one to a person; killed in between, nothing is linked twice or not at all."""
    running = desk.home.daemon("semantic_dedup").ready()
    desk.found("one", "door", "Watches the front door with a camera.", dependencies=["camera"])
    desk.found("two", "door", "With a camera it watches the front door.", dependencies=["camera"])
    (two,) = desk.linked(1)
    running.kill()
    desk.found("three", "door", "With a camera, it watches the front door.", dependencies=["camera"])
    desk.found("eye", "camera", "Takes pictures.")
    desk.home.daemon("semantic_dedup").ready()
    _, three, eye = desk.linked(3)
    assert (two["duplicate_of"], three["duplicate_of"]) == ("one", "one")
    assert set(two["shared_terms"]) == {"camera", "door", "front", "watch"}
    assert (eye["used_by"], two["embedding"]) == (["door"], "ngrams")
    assert not desk.home.dead()


def test_a_contradiction_is_looked_into_once(desk):
    """Two findings that cannot both hold lead to one question, and the answer to it, contradicting again, to none."""
    desk.home.daemon("semantic_dedup").ready()
    desk.found("one", "door", "Records pictures of visitors at the door.")
    desk.found("two", "door", "Records no pictures of visitors at the door.")
    (first,) = desk.linked(1)
    assert first["contradicts"][0]["why"] == "one denies what the other says"
    (asked,) = desk.home.wait_for("Q_CURIOSITY_INVESTIGATE")
    assert (asked.facts["module_path"], asked.facts["priority"]) == ("door", "low")
    desk.found("again", "door", "Records pictures of visitors at the door.", asked.facts["question_id"])
    desk.found("three", "door", "Records no pictures of visitors at the door.")
    desk.linked(3)
    assert len(desk.home.signals("Q_CURIOSITY_INVESTIGATE")) == 1


def test_the_embeddings_of_a_server_are_used_while_it_answers(desk):
    """Where a model server embeds, its word counts; when its answer drips, linking goes on, and says by what."""
    with model_server() as server:
        server.embed = lambda text: [1.0, 0.5]
        wanted = {"base_url": server.url, "model": "embedder", "timeout_s": 2}
        desk.home.config("semantic_dedup", {"embeddings": wanted})
        running = desk.home.daemon("semantic_dedup").ready()
        desk.found("one", "door", "Watches the front door with a camera.")
        desk.found("two", "door", "With a camera it watches the front door.")
        assert desk.linked(1)[0]["embedding"] == "embedder"
        server.drips = "headers"
        desk.found("three", "door", "A camera that watches the front door, by Ada.")
        assert desk.linked(2)[1]["embedding"] == "ngrams"
        why = "the embedding server does not answer (no whole answer within 2 s), n-grams take its place"
        running.heard(f"STATUS=3 findings; {why}")
