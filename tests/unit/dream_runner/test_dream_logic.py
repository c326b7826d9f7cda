"""What a cycle decides, without bus, clock or processes."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from services.dream_runner import logic
from services.dream_runner.logic import Past
from services.dream_runner.picture import LINE, draw
from services.experiments.constraints import compiled
from services.experiments.model import Guardrail, Objective
from services.experiments.space import Parameter, Params, Space
from tests.dream.functions import CASES
from tests.dream.noise import LEVELS, false_winners, most_by_chance

SVG = "{http://www.w3.org/2000/svg}"
ONE = Objective({"f1": "maximize"}, (Guardrail("precision", min=0.9),), 0.05, 0.01)
TWO = Objective({"f1": "maximize", "ms": "minimize"}, (), 0.05, 0.01)
USED = {"f1": 0.8, "precision": 0.95, "ms": 10.0}
SPACE = Space(
    (
        Parameter("near", "float", 0.2, 0.95),
        Parameter("size", "int", 1, 64, log=True),
        Parameter("way", "categorical", choices=("plain", "grams")),
        Parameter("step", "float", 0, 1, step=0.25, when={"way": ("grams",)}),
    )
)


def trial(n: int, f1: float, precision: float = 0.95, ms: float = 10.0, **said: Any) -> dict[str, Any]:
    metrics = {"f1": f1, "precision": precision, "ms": ms}
    found = {"n": n, "params": {"x": n}, "from": "sampler", "state": "complete", "metrics": metrics, "at_s": n}
    return found | {"crossed": ONE.crossed(metrics)} | said


FAILED: dict[str, Any] = {
    "n": 9,
    "params": {"x": 9},
    "from": "sampler",
    "state": "failed",
    "reason": "timed_out",
    "detail": "x",
}


def test_an_experiment_is_due_when_trying_again_could_find_anything_new() -> None:
    """A trigger that fires every minute, for ever, must not have the same measured every minute."""
    past, again = Past(1000.0, "same"), 3600.0
    assert logic.is_due(1060.0, None, "same", False, again)
    assert not logic.is_due(1060.0, past, "same", False, again)
    assert logic.is_due(1060.0, past, "other", False, again)
    assert logic.is_due(1060.0, past, "same", True, again)
    assert logic.is_due(4600.0, past, "same", False, again)
    assert logic.is_due(900.0, past, "same", False, again), "a clock that was set back must not stop it for ever"


def test_triggers_begin_only_so_many_cycles_a_day() -> None:
    """Even with something new every minute the machine is not tuned all day."""
    starts = [0.0, 100.0, 200.0]
    assert logic.too_many(starts, 300.0, 3)
    assert not logic.too_many(starts, 300.0, 4)
    assert not logic.too_many(starts, 86_401.0, 3)
    assert logic.too_many(starts, -3600.0, 3), "a clock that was set back an hour begins no new day"
    assert not logic.too_many([1e9, 1e9, 1e9], 300.0, 3), "one that was far ahead does not stop it for years"


def test_a_promotion_that_still_lies_there_is_never_forgotten() -> None:
    """Ten thousand files would be tried anew for ever, those of the morning again in the evening."""
    judged = {"gone early": 1.0, "there": 0.0, "gone late": 3.0, "gone between": 2.0}
    assert logic.to_forget(judged, {"there", "new"}, 1) == ["gone early", "gone between"]
    assert logic.to_forget(judged, set(judged), 0) == []


def test_what_a_result_depends_on_is_its_fingerprint() -> None:
    """A changed value in use makes an experiment due again; the order of keys does not."""
    assert logic.fingerprint("d", {"a": 1, "b": 2.5}) == logic.fingerprint("d", {"b": 2.5, "a": 1})
    assert logic.fingerprint("d", {"a": 1}) != logic.fingerprint("d", {"a": 2})
    assert logic.fingerprint("d", {"a": 1}) != logic.fingerprint("e", {"a": 1})
    assert logic.fingerprint("d", {"a": 1}) != logic.fingerprint("d", {"a": True})


@pytest.mark.parametrize(("topic", "about"), [(None, True), ("BRAN", True), ("voice", False)])
def test_a_topic_chooses_experiments(topic: str | None, about: bool) -> None:
    """`topic: voice` must not start an experiment about something else."""
    assert logic.is_about(CASES[0].experiment(10), topic) is about


def test_the_sampler_fits_the_experiment() -> None:
    """CMA-ES can do nothing with choices or few trials, TPE little with two metrics."""
    assert logic.sampler(CASES[0].experiment(40)) == "tpe"
    assert logic.sampler(CASES[1].experiment(6 * logic.PER_DIMENSION)) == "cmaes"
    assert logic.sampler(replace(CASES[0].experiment(1000), space=SPACE)) == "tpe"
    assert logic.sampler(CASES[3].experiment(40)) == "nsga2"


def test_fresh_candidates_are_always_within_the_space() -> None:
    """A fresh candidate out of bounds would fail, or be measured and never be allowed to win."""
    draw_from = random.Random(7)
    for _ in range(500):
        drawn = logic.uniform(SPACE, draw_from)
        assert SPACE.normal(drawn) == drawn


def test_a_collapse_is_seen() -> None:
    """A sampler that circles around one point spends the night on nothing."""
    apart: list[Params] = [
        {"near": 0.2 + nth / 12, "size": 1 + nth * 7, "way": ("plain", "grams")[nth % 2]} for nth in range(8)
    ]
    alike: list[Params] = [{"near": 0.5 + nth / 10_000, "size": 8, "way": "plain"} for nth in range(8)]
    assert logic.spread(SPACE, apart) > 0.7
    assert not logic.has_collapsed(SPACE, apart)
    assert logic.has_collapsed(SPACE, [*apart, *alike])
    assert not logic.has_collapsed(SPACE, alike[:7]), "too few to tell"


def test_one_candidate_is_proven_and_it_is_the_best_that_may_win() -> None:
    """In the system before this one guardrail failures were ignored, and failed trials had a fitness."""
    trials = [trial(1, 0.85), trial(2, 0.99, precision=0.5), trial(3, 0.9), trial(4, 0.7), FAILED]
    found = logic.finalist(ONE, USED, trials)
    assert found is not None
    assert found["n"] == 3
    assert logic.finalist(ONE, USED, [trial(2, 0.99, precision=0.5), trial(4, 0.8), FAILED]) is None
    assert logic.finalist(ONE, USED, [FAILED]) is None
    assert logic.finalist(ONE, USED, []) is None


def test_of_two_metrics_neither_may_be_worse() -> None:
    """Twice as fast and a little wrong is no winner that a person asked for."""
    trials = [trial(1, 0.79, ms=1.0), trial(2, 0.81, ms=9.0), trial(3, 0.80, ms=5.0), trial(4, 0.9, ms=20.0)]
    found = logic.finalist(TWO, USED, trials)
    assert found is not None
    assert found["n"] == 3
    assert logic.front(TWO, trials) == [1, 2, 3, 4]
    assert logic.front(TWO, [*trials, trial(5, 0.95, ms=0.5)]) == [5]


def record(**said: Any) -> dict[str, Any]:
    verdict = {"wins": True, "reasons": ["f1: better"], "compared": [], "pairs": 5}
    base: dict[str, Any] = {
        "experiment": "e",
        "about": "a",
        "objective": {"metrics": {"f1": "maximize"}},
        "present": {"x": 0},
    }
    trials: list[dict[str, Any]] = [trial(1, 0.9), trial(2, 0.99, precision=0.1), trial(3, 0.85), trial(4, 0.7), FAILED]
    trials.append({"n": 10, "params": {"x": 10}, "from": "sampler", "state": "pruned", "metrics": USED, "at_s": 9})
    base |= {"baseline": USED, "trials": [{"at_s": 1, **one} for one in trials], "front": [1], "finalist": 1}
    return base | {"winner": {"params": {"x": 1}, "n": 1}, "verdict": verdict} | said


@pytest.mark.parametrize(
    ("x", "verdict", "said"),
    [
        (0, "rejected", "it is what is in use already"),
        (1, "accepted", "it won: f1: better"),
        (2, "rejected", "it crosses a guardrail: precision is 0.1"),
        (3, "rejected", "another candidate was better: f1 0.85, in use 0.8"),
        (9, "rejected", "its evaluation failed: timed_out"),
        (10, "rejected", "given up early"),
    ],
)
def test_each_promotion_gets_a_verdict_with_its_reason(x: int, verdict: str, said: str) -> None:
    """Whoever proposed it must learn what became of it, and the monitor must stop reporting it."""
    found = logic.verdict("promotion:p", {"x": x}, record())
    assert found is not None
    assert (found[0], said in found[1]) == (verdict, True), found


def test_a_promotion_whose_turn_never_came_goes_on_waiting() -> None:
    """Turned down without having been tried, it would be lost."""
    assert logic.verdict("promotion:p", {"x": 77}, record()) is None


def test_a_promotion_is_not_judged_by_another_whose_name_begins_with_its() -> None:
    """`mine` would be told that it has won, or failed, with what `mine-too` has proposed, and never be tried."""
    theirs = {**trial(1, 0.9), "from": "promotion:mine-too"}
    assert logic.verdict("promotion:mine", {"x": 77}, record(trials=[theirs])) is None
    found = logic.verdict("promotion:mine-too", {"x": 1.0}, record(trials=[theirs]))
    assert found is not None
    assert found[0] == "accepted"


def test_what_was_not_proven_is_rejected_with_the_tests_words() -> None:
    """The best candidate that may be chance is no winner."""
    verdict = {"wins": False, "reasons": ["f1 may be chance"], "compared": [], "pairs": 5}
    found = logic.verdict("promotion:p", {"x": 1}, record(winner=None, verdict=verdict))
    assert found == ("rejected", "not proven: f1 may be chance")


def test_the_same_winner_has_the_same_id_whichever_cycle_finds_it() -> None:
    """A winner that comes twice under two ids would be deployed twice."""
    assert logic.winner_id("e", "d", {"a": 1, "b": 2}) == logic.winner_id("e", "d", {"b": 2, "a": 1})
    assert logic.winner_id("e", "d", {"a": 1}) != logic.winner_id("e", "d2", {"a": 1})


def test_a_constraint_says_nothing_of_what_does_not_take_part() -> None:
    """A condition on a parameter that is switched off must not forbid everything."""
    constraint = compiled("step <= near", {"step": "float", "near": "float"})
    space = replace(SPACE, constraints=(constraint,))
    assert space.broken({"near": 0.5, "size": 1, "way": "plain"}) == []
    assert space.broken({"near": 0.5, "size": 1, "way": "grams", "step": 0.75}) == ["step <= near does not hold"]


def test_the_picture_shows_what_was_tried_in_use_and_won() -> None:
    """A person judges by the picture before approving; markup in a name must not break it."""
    picture = draw(record(about="<b>&"))
    assert picture.count("<circle") == 4
    assert "&lt;b&gt;&amp;" in picture
    assert "Winner: f1: better" in picture
    assert ElementTree.fromstring(draw(record(about="bell \a", present={"x": "\x1b"})))


def lines_of(picture: str, colour: str) -> list[list[tuple[float, float]]]:
    """The points of each line of a colour."""
    found = [one for one in ElementTree.fromstring(picture).iter(f"{SVG}polyline") if one.get("stroke") == colour]
    return [[(float(x), float(y)) for x, y in (at.split(",") for at in one.get("points", "").split())] for one in found]


def dots_of(picture: str) -> dict[int, tuple[float, float]]:
    """Where each candidate is, by its number."""
    found = {}
    for dot in ElementTree.fromstring(picture).iter(f"{SVG}circle"):
        title = dot.find(f"{SVG}title")
        if title is not None and title.text is not None:
            place = float(dot.get("cx", "")), float(dot.get("cy", ""))
            found[int(title.text.split(",")[0].removeprefix("trial "))] = place
    return found


def test_the_picture_of_two_metrics_shows_the_front_and_who_is_behind_it() -> None:
    """Where two metrics pull apart a person chooses along the front; one who is worse in both is not on it."""
    trials = [trial(1, 0.9, ms=20.0), trial(2, 0.85, ms=8.0), trial(3, 0.7, ms=2.0), trial(4, 0.7, ms=9.0), FAILED]
    trials.append(trial(5, 0.95, ms=1.0, precision=0.1))  # crosses a guardrail
    two = record(
        objective={"metrics": {"f1": "maximize", "ms": "minimize"}},
        trials=trials,
        front=logic.front(TWO, trials),
        winner={"params": {"x": 2}, "n": 2},
    )
    picture = draw(two)
    (front,), dots = lines_of(picture, LINE), dots_of(picture)
    assert dots.keys() == {1, 2, 3, 4, 5}, "what failed has no place"
    assert front == [dots[3], dots[2], dots[1]], "from the one with the least f1 to the one with the most"
    assert dots[1][0] > dots[2][0] > dots[3][0] == dots[4][0], "to the right f1 grows"
    assert dots[1][1] < dots[4][1] < dots[2][1] < dots[3][1], "upwards ms grows"
    assert "f1 (maximize)" in picture
    assert "ms (minimize)" in picture
    none = record(objective=two["objective"], trials=[FAILED], front=[], winner=None)
    assert "No winner" in draw(none)
    assert dots_of(draw(none)) == {}


def test_the_best_so_far_never_falls_and_passes_over_what_crosses_a_guardrail() -> None:
    """A line that climbs by a setting that may not win promises what nobody gets."""
    picture = draw(record())
    (stairs,), dots = lines_of(picture, LINE), dots_of(picture)
    heights = [y for _, y in stairs]
    assert heights == sorted(heights, reverse=True), "upwards is a smaller y"
    assert min(heights) == dots[1][1] > dots[2][1], "trial 2 is higher, and crosses a guardrail"


@pytest.mark.parametrize("low", [-0.9, 0.0, 1e-300, -1e15])
def test_an_axis_is_labelled_whatever_its_values(low: float) -> None:
    """Two metrics between -1 and 0, such as correlations, had no numbers at the bottom."""
    trials = [trial(1, low, ms=low), trial(2, low / 2, ms=low / 2)]
    two = record(objective={"metrics": {"f1": "maximize", "ms": "minimize"}}, trials=trials, front=[1], winner=None)
    two["baseline"] = {"f1": low, "ms": low}
    labels = [one.text or "" for one in ElementTree.fromstring(draw(two)).iter(f"{SVG}text")]
    assert len([one for one in labels if is_number(one)]) == 10


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("alpha", "pairs"), LEVELS)
def test_pure_noise_wins_no_more_often_than_alpha_says(alpha: float, pairs: int) -> None:
    """Each false winner puts a change into a configuration that does nothing, or worse."""
    cycles = 200
    chosen, wins = false_winners(alpha, pairs, cycles)
    assert chosen > cycles * 0.9, "the best of forty looks better, and is not"
    assert wins <= most_by_chance(alpha, cycles)
