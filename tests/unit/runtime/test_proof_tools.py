"""The tools that look for losses and growth can find them."""

import random
from collections import Counter

import pytest

from signals.errors import MalformedError
from tests.chaos.judging import _ends
from tests.fuzz.door import Door, fuzz
from tests.fuzz.mutator import Mutator
from tests.soak.picture import Chart, draw
from tests.soak.samples import Sample, Tables, Whole, read
from tests.soak.slopes import growths
from tests.support.processes import Use


def test_a_story_without_end_and_one_with_two_are_told():
    """`make chaos` that cannot fail proves nothing."""
    assert list(_ends(Counter(a=1, b=1), ["a", "b"], "the story")) == []
    told = list(_ends(Counter(a=2, c=1), ["a", "b"], "the story"))
    assert [line.partition(",")[0] for line in told] == [
        "the story a has 2 ends",
        "the story b has 0 ends",
        "the story c ended",
    ]


class Fragile(Door):
    """Falls over when it meets a brace."""

    name = "fragile"

    def seeds(self):
        return [b'{"a": 1}', b"plain"]

    def take(self, raw):
        if b"[" in raw:
            raise ZeroDivisionError
        if b"{" in raw:
            raise MalformedError
        return "taken"


def test_a_fuzzer_finds_what_is_no_refusal_and_the_same_seed_finds_it_again():
    """`make fuzz` that swallows a traceback, or cannot show it again, proves nothing."""
    first, again = fuzz(Fragile(), 500, 1), fuzz(Fragile(), 500, 1)
    assert next(iter(first.findings)).startswith("ZeroDivisionError at test_proof_tools.py")
    assert first.outcomes == again.outcomes
    assert set(first.outcomes) == {"taken", "refused: malformed", "FOUND"}


def test_a_mutator_is_bounded():
    """An hour of fuzzing must not fill the memory with its own inputs."""
    mutator = Mutator(random.Random(1), [b"x" * 60_000, b"{}"])
    assert max(len(mutator.draw()) for _ in range(300)) <= 70_000


@pytest.mark.parametrize(("rise", "flat"), [(0, True), (1024, True), (8192, False)])
def test_growth_is_seen_where_there_is_some(rise, flat):
    """`make soak` that calls a leak level proves nothing."""
    samples = [
        Sample(at, {"bus": Use(50_000 + int(rise * at / 3600), 60_000, 30, 3, at / 100)}, Whole())
        for at in range(0, 3600, 10)
    ]
    (pss,) = [each for each in growths(samples, 600) if each.measure == "pss_kib"]
    assert abs(pss.an_hour - rise) < 20
    assert pss.flat is flat


def test_what_is_used_for_a_moment_is_no_growth_and_an_earlier_run_is_judged_again(tmp_path):
    """A busier machine in the second half would look like a leak; a run of an hour would have to be run again."""
    busy = [
        Sample(float(at), {"bus": Use(50_000 + 9_000 * (at % 300 < at / 40), 60_000, 30, 3, 0.0)}, Whole(answer_ms=0.5))
        for at in range(0, 3600, 10)
    ]
    tables = Tables(tmp_path)
    for each in busy:
        tables.add(each)
    tables.close()
    assert read(tmp_path) == busy
    assert [each.measure for each in growths(read(tmp_path), 600) if not each.flat] == []


def test_a_picture_has_a_line_for_each_stretch_without_a_gap():
    """A consumer that was away must not be drawn as if it had been there."""
    points = [(float(minute), 1.0) for minute in (0, 1, 2, 3, 20, 21, 22, 23)]
    svg = draw("Title & more", 24, [Chart("Memory", {"bus": points})], (5, 19), "note")
    assert svg.count("<polyline") == 2
    assert "Title &amp; more" in svg
