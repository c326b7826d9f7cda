"""When findings are linked, and when not."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest

from services.runtime import config
from services.runtime.manifest import Manifest, find
from services.semantic_dedup import logic, measure, ngrams
from services.semantic_dedup.daemon import KEPT as AGAIN_KEPT
from services.semantic_dedup.embeddings import AGAIN_S, Server
from services.semantic_dedup.index import Index
from services.semantic_dedup.logic import Bounds, Finding
from signals.catalogue import Catalogue
from tests.support.model_server import model_server

HALF = Bounds(0.5)
DOOR = Finding("a", "q", "door", "What is it for?", "Watches the front door with a camera.", "model")


@pytest.mark.parametrize(("kept", "precision", "recall"), [("chosen_on", 0.95, 0.9), ("held_out", 0.75, 0.75)])
def test_precision_and_recall_on_the_labelled_pairs(kept, precision, recall):
    """Findings that say the same are found; different ones that only sound alike are not made one."""
    found = measure.quality(measure.labelled(kept))
    print(kept, found)
    assert found["duplicates"]["precision"] >= precision
    assert found["duplicates"]["recall"] >= recall
    assert found["contradictions"]["recall"] >= 0.9
    assert found["embedding_alone"]["precision"] < 0.8  # else subject and key terms would be asked for nothing


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, "duplicate"),
        ({"subject": "gate"}, "other"),
        ({"text": "With a camera it does not watch the front door."}, "contradiction"),
        ({"text": "Computes taxes for the year.", "evidence": "e"}, "contradiction"),
        ({"text": "Computes taxes for the year.", "evidence": "f"}, "other"),
        ({"text": "Computes taxes for the year.", "evidence": "e", "method": "static"}, "other"),
        ({"verdict": "refuted"}, "contradiction"),
    ],
)
def test_the_subject_and_what_is_said_decide(change, kind):
    """Another module is never the same; a denial, another reading of the same files, a refutation contradict."""
    old = replace(DOOR, evidence="e", verdict="confirmed")
    new = replace(old, id="b", **{"verdict": "confirmed", **change})
    assert logic.compare(new, old, 0.9, HALF).kind == kind


def test_the_bounds_of_the_manifest_are_those_that_were_measured():
    """What is installed must be what the figures in the documents are of."""
    manifest = Manifest.load(find("semantic_dedup", Path()))
    assert Bounds(**config.load(None, manifest.config, daemon="semantic_dedup")["bounds"]) == measure.USUAL


def test_bounds_decide_what_is_one():
    """A person who sets a bound gets what it says: stricter ones link less, in each of the three respects."""
    near = logic.compare(replace(DOOR, id="b"), DOOR, 0.6, HALF)
    assert near.kind == "duplicate"
    assert logic.compare(replace(DOOR, id="b"), DOOR, 0.6, Bounds(0.7)).why == "too far apart"
    other = replace(DOOR, id="b", text="Watches the front gate with a camera.")
    assert logic.agree(other, DOOR, HALF)
    assert not logic.agree(other, DOOR, replace(HALF, agree_on_a_module=0.9))
    one, two = replace(DOOR, subject=""), replace(other, subject="")
    assert logic.agree(two, one, HALF)
    assert not logic.agree(two, one, replace(HALF, agree=0.9))


@pytest.mark.parametrize(("near", "fewest", "most"), [(0.34, 0.8, 1.0), (0.99, 0.0, 0.7)])
def test_a_worse_bound_measures_worse(near, fewest, most):
    """What D-REAM tunes by must tell a good bound from a bad one, on parts that together are all the pairs."""
    found = [measure.evaluate({"near": near}, f"held_out {nth}/4") for nth in range(1, 5)]
    assert fewest <= sum(one["right"] for one in found) / 4 <= most


def test_no_nearness_alone_links():
    """An embedding that finds everything alike must not make one finding of two."""
    one = replace(DOOR, subject="", text="Call mother on Sunday.")
    assert logic.compare(replace(one, id="b", text="Call the bank on Monday."), one, 1.0, HALF).kind == "other"
    assert logic.compare(replace(DOOR, id="b"), DOOR, 0.2, HALF).kind == "other"


def test_a_contradiction_is_looked_into_seldom_and_never_because_of_its_own_answer():
    """Two models that disagree must not keep the machine busy for ever."""
    day = 86_400.0
    assert logic.may_ask(DOOR, {}, 0.0, 7 * day, 10)
    assert not logic.may_ask(DOOR, {"door": 0.0}, 6 * day, 7 * day, 10)
    assert logic.may_ask(DOOR, {"door": 0.0}, 7 * day, 7 * day, 10)
    assert not logic.may_ask(DOOR, {f"m{nth}": 1.0 for nth in range(10)}, 2.0, 7 * day, 10)
    assert not logic.may_ask(replace(DOOR, question_id=f"{logic.AGAIN}a.b"), {}, 0.0, 7 * day, 10)


@pytest.mark.parametrize("subject", ["", "package." * 30])
def test_what_a_contradiction_is_counted_by_is_short_enough_to_be_kept(subject):
    """A contradiction about a long question would be handled five times, and buried instead of looked into."""
    question = " ".join(f"word{letter}{other}" for letter in "abcdefgh" for other in "abcdefgh")
    assert len(AGAIN_KEPT + logic.key_of(replace(DOOR, subject=subject, question=question))) <= 200


def test_what_is_told_fits_its_contract_however_large_the_findings():
    """A finding with long texts would be refused by the bus, and never be linked."""
    catalogue = Catalogue.load()
    old, new = replace(DOOR, text="not 1 " + "word " * 900), replace(DOOR, id="b" * 128, text="2 " + "word " * 900)
    pair = (old, logic.Compared("contradiction", 1.0000001, ("word",), "x" * 5000))
    found = logic.links(new, [pair] * 20, [f"m{nth}" for nth in range(100)], ["n"])
    catalogue["Q_FINDING_LINKED"].check(logic.facts_of(new, found, "ngrams"))
    catalogue["Q_CURIOSITY_INVESTIGATE"].check(logic.question(new, found))


def test_findings_are_there_after_a_crash_in_the_middle_of_a_line(tmp_path):
    """The power went while a finding was written: the others are kept, and the next is written whole."""
    path = tmp_path / "findings.jsonl"
    Index(path).add(DOOR)
    with path.open("ab") as out:
        out.write(b'{"id": "torn')
    index = Index(path)
    index.add(replace(DOOR, id="b"))
    index.add(replace(DOOR, id="b", text="another text"))
    assert [one.id for one in Index(path).candidates(replace(DOOR, id="c"))] == ["a", "b"]
    assert [one.id for one in index.candidates(replace(DOOR, id="b"))] == ["a"]  # delivered again: only what was before
    for identity in ("c", "d"):
        index.add(replace(DOOR, id=identity, subject=""))
    assert [one.id for one in index.candidates(replace(DOOR, id="c", subject=""))] == []


def test_the_oldest_findings_make_room(tmp_path):
    """A daemon that is always on must not grow for ever, in memory or on the disk."""
    path = tmp_path / "findings.jsonl"
    index = Index(path, most=8)
    for nth in range(20):
        index.add(replace(DOOR, id=f"f{nth}", subject="" if nth % 2 else "door", dependencies=("camera",)))
    assert len(index) == 8
    assert [one.id for one in index.candidates(DOOR)] == ["f12", "f14", "f16", "f18"]
    assert len(path.read_text().splitlines()) <= 8 + 2
    again = Index(path, most=8)
    assert [one.id for one in again.candidates(DOOR)] == ["f12", "f14", "f16", "f18"]


EDITED = {**asdict(DOOR), "id": "b"}


@pytest.mark.parametrize(
    "line",
    [
        *([], 7, {"id": "b"}, EDITED | {"text": 7}, EDITED | {"more": "x"}),
        *(EDITED | {"dependencies": wrong} for wrong in ("camera", 7, [7])),
    ],
)
def test_a_line_that_somebody_edited_is_passed_over(tmp_path, line):
    """One wrong line would keep the daemon from starting, and all other findings from being known."""
    path = tmp_path / "findings.jsonl"
    Index(path).add(DOOR)
    path.write_bytes(orjson.dumps(line) + b"\n{\n" + path.read_bytes())
    assert [one.id for one in Index(path).candidates(replace(DOOR, id="c"))] == ["a"]


def test_what_is_said_of_one_subject_again_and_again_makes_room_too(tmp_path):
    """A module that is asked about every minute would push out what is known of all others."""
    index = Index(tmp_path / "findings.jsonl")
    index.add(replace(DOOR, id="other", subject="camera"))
    for nth in range(100):
        index.add(replace(DOOR, id=f"f{nth}"))
    assert len(index) == 33
    assert [one.id for one in index.candidates(replace(DOOR, id="new"))] == [f"f{nth}" for nth in range(68, 100)]
    assert index.get("other") is not None


def test_what_imports_what_is_known_both_ways(tmp_path):
    """A person sees what a module goes with, whichever of the two was found first."""
    index = Index(tmp_path / "findings.jsonl")
    camera = replace(DOOR, id="b", subject="camera")
    door = replace(DOOR, dependencies=("camera", "door", "numpy"))
    index.add(door)
    assert (index.integrates_with(door), index.used_by(camera)) == ([], ["door"])
    index.add(camera)
    assert index.integrates_with(door) == ["camera"]


def test_equal_texts_are_nearest_and_empty_ones_near_nothing():
    """Punctuation or silence is no similarity."""
    one = ngrams.vector("Watches the door")
    assert ngrams.cosine(one, one) == pytest.approx(1)
    assert ngrams.cosine(one, ngrams.vector("?!")) == 0


def compared(server: Server, text: str, others: list[str]) -> list[float] | None:
    return asyncio.run(server.similarities(text, others))


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_drips_is_given_up_after_its_time(part):
    """A byte now and then keeps a connection alive, and would hold up every finding for ever."""
    with model_server() as server:
        server.drips = part
        found = Server(server.url, "m", 0.8, 0.2)
        assert compared(found, "a", ["b"]) is None
        server.until("left")
    assert found.trouble == "no whole answer within 0.2 s"


def test_a_key_that_cannot_be_sent_is_not_told():
    """A status line with the key in it would be read by everybody who may look at the daemons."""
    with model_server() as server:
        found = Server(server.url, "m", 0.8, 5.0, key="sec\nret")
        assert compared(found, "a", ["b"]) is None
    assert found.trouble == "its address, or the key, has characters that HTTP cannot carry"


def test_a_server_that_goes_and_comes_is_used_when_it_answers():
    """Embeddings of a model server are used while it answers, given up honestly, and used again without a restart."""
    now = [0.0]
    with model_server() as server:
        found = Server(server.url, "m", 0.8, 5.0, clock=lambda: now[0])
        assert compared(found, "a", ["b"]) is None
        assert found.trouble == "HTTP 503"
        server.embed = lambda text: [3.0, 4.0] if text == "a" else [4.0, 3.0]
        assert compared(found, "a", ["b"]) is None  # not asked before its time
        assert server.events.count("embedded") == 1
        now[0] = AGAIN_S
        assert compared(found, "a", ["b", "a"]) == pytest.approx([0.96, 1.0])
        assert found.trouble == ""
        assert compared(found, "a", ["b"]) == pytest.approx([0.96])
        assert server.events.count("embedded") == 2  # a text is embedded once
        server.embed = lambda text: [float("nan")]
        assert compared(found, "a", ["c"]) is None
        server.embed = lambda text: [1.0, 0.0, 0.0]
        now[0] += AGAIN_S
        assert compared(found, "a", ["d"]) is None  # another model than before: its numbers mean something else
    found._again_at = 0.0
    assert compared(found, "a", ["e"]) is None
    assert found.trouble == "Connection refused"
