"""One experiment from the baseline to its record, by the real engine, with evaluations that take no time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.dream_runner import conducting, measuring, trying
from services.dream_runner.conducting import conduct
from services.dream_runner.task import EngineError, Task
from services.experiments.definition import load
from services.experiments.evaluation import Asked, EvaluationError
from services.experiments.space import Params

EXPERIMENT = """\
about: a way between quick and good
target: {file: x.yaml, format: yaml, keys: {x: x}}
search_space: {x: {type: float, low: 0, high: 1}}
evaluate: {command: ["true"], repeats: 1, cases: {tuning: [a, b], held_out: [c, d, e, f, g, h]}}
objective:
  metrics: {f1: maximize, ms: minimize}
  guardrails: {f1: {min: 0.1}}
budget: {trials: 16}
"""
SLOW = {"command": ["true"], "repeats": 1, "timeout_s": 100, "cases": {"tuning": ["a"], "held_out": list("cdefgh")}}
CYCLE_S = 100.0
Measure = Callable[[Asked], Mapping[str, float]]


class Clock:
    """In the place of the module `time`: seconds pass when a test says so."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    for module in (conducting, measuring, trying):
        monkeypatch.setattr(module, "time", found)
    return found


@pytest.fixture
def conducted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Callable[..., dict[str, Any]]:
    def by(measure: Measure, *, promoted: Sequence[float] = (0.25,), left_s: float = 60, **said: Any) -> dict[str, Any]:
        path = tmp_path / "experiments" / "way.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(yaml.safe_load(EXPERIMENT) | said, sort_keys=False))
        for module in (measuring, trying):
            monkeypatch.setattr(module, "evaluate", lambda _, asked, __: dict(measure(asked)))
        monkeypatch.setattr(trying, "tell", lambda **_: None)
        seeds: list[tuple[Params, str]] = [({"x": x}, "promotion:p") for x in promoted]
        task = Task(load(path, tmp_path), tmp_path, "c-1", tmp_path, {"x": 0.5}, seeds, 1, left_s, CYCLE_S)
        return conduct(task, clock.now)

    return by


def test_as_many_are_measured_at_once_as_the_budget_says(conducted: Any) -> None:
    """A person with sixteen cores who said so waits one night, not sixteen."""
    both = threading.Barrier(2)

    def measure(asked: Asked) -> dict[str, float]:
        if asked.case == "a" and asked.params["x"] != 0.5:
            both.wait(timeout=20)  # one alone would wait in vain
        return {"f1": 0.8, "ms": 1.0}

    assert len(conducted(measure, budget={"trials": 4, "concurrency": 2})["trials"]) == 4


def test_what_falls_behind_is_given_up_early_and_what_somebody_proposed_never(conducted: Any) -> None:
    """Bad candidates cost a part of the night, and nobody's proposal is turned down unmeasured."""
    asked_for: Counter[float] = Counter()

    def measure(asked: Asked) -> dict[str, float]:
        asked_for[float(asked.params["x"])] += asked.case in "abs"
        return {"f1": -abs(float(asked.params["x"]) - 0.4)}

    cases = {"tuning": ["a", "b", "s"], "held_out": list("cdefgh")}
    record = conducted(
        measure,
        promoted=(0.4, 0.41, 0.42, 0.43, 0.44, 0.45, 0.99, 1.0),
        evaluate={"command": ["true"], "repeats": 1, "cases": cases},
        objective={"metrics": {"f1": "maximize"}},
        budget={"trials": 16},
    )
    early = [one for one in record["trials"] if one["state"] == "pruned"]
    assert early
    assert all(asked_for[one["params"]["x"]] < 3 for one in early)
    assert {one["from"] for one in early} <= {"sampler", "drawn", "fresh"}
    assert {one["state"] for one in record["trials"][:8]} == {"complete"}, "two are the worst there is, but proposed"
    assert record["winner"] is not None


def test_a_parameter_takes_part_only_where_its_condition_holds(conducted: Any) -> None:
    """What is written into the file must be what was measured, and nothing beside it."""
    space = {
        "way": {"type": "categorical", "choices": ["plain", "grams"]},
        "x": {"type": "float", "low": 0, "high": 1},
        "size": {"type": "int", "low": 1, "high": 8, "when": {"way": "grams"}},
    }
    target = {"file": "x.yaml", "format": "yaml", "keys": {name: name for name in space}}
    seen: list[Mapping[str, Any]] = []

    def measure(asked: Asked) -> dict[str, float]:
        seen.append(asked.params)
        return {"f1": 0.8, "ms": 1.0}

    conducted(measure, search_space=space, target=target)
    tried = [params for params in seen if "way" in params]
    assert {params["way"] for params in tried} == {"plain", "grams"}
    assert all(("size" in params) == (params["way"] == "grams") for params in tried)


def test_of_two_metrics_one_may_win_and_the_front_says_what_else_there_is(conducted: Any) -> None:
    """Quicker and no worse is a winner; the front shows a person what more speed would cost."""

    def measure(asked: Asked) -> dict[str, float]:
        x = float(asked.params["x"])
        return {"f1": min(0.8, 0.2 + 2.4 * x), "ms": 10 * x}

    record = conducted(measure)
    assert (record["sampler"], len(record["trials"])) == ("nsga2", 16)
    assert record["winner"]["params"] == {"x": 0.25}, "as good as what is in use, in half the time"
    assert record["verdict"]["pairs"] == 6
    by_number = {one["n"]: one for one in record["trials"]}
    front = sorted((by_number[n]["metrics"]["ms"], by_number[n]["metrics"]["f1"]) for n in record["front"])
    assert len(front) > 2
    assert [f1 for _, f1 in front] == sorted(f1 for _, f1 in front), "along the front what is slower is better"


def test_a_metric_that_pulls_the_other_way_wins_nothing(conducted: Any) -> None:
    """What is quicker only by being worse is a choice, which a person makes."""
    record = conducted(lambda asked: {"f1": 0.2 + 0.6 * float(asked.params["x"]), "ms": 10 * float(asked.params["x"])})
    assert record["winner"] is None
    assert record["verdict"]["reasons"] == ["none of the candidates looked better than what is in use"]
    assert len(record["front"]) > 2


def test_a_guardrail_that_is_crossed_on_held_out_cases_alone_is_no_winner(conducted: Any) -> None:
    """In the system before this one guardrail failures were ignored; here they count to the end."""

    def measure(asked: Asked) -> dict[str, float]:
        worse = asked.case in "cdefgh" and asked.params["x"] != 0.5
        return {"f1": 0.05 if worse else 0.8, "ms": 10 * abs(float(asked.params["x"]) - 0.2)}

    record = conducted(measure)
    assert record["winner"] is None
    assert any("a guardrail is crossed: f1 is 0.05" in one for one in record["verdict"]["reasons"])


def test_a_proof_that_fails_proves_nothing(conducted: Any) -> None:
    """Half of the pairs are no pairs; what was not measured is never made up for."""

    def measure(asked: Asked) -> dict[str, float]:
        if asked.case == "e" and asked.params["x"] != 0.5:
            raise EvaluationError("metric_not_finite", "f1 is nan")
        return {"f1": 0.8, "ms": 10 * float(asked.params["x"])}

    record = conducted(measure)
    assert record["winner"] is None
    (reason,) = record["verdict"]["reasons"]
    assert "a held-out measurement of the candidate failed: metric_not_finite: f1 is nan" in reason


@pytest.mark.parametrize(
    ("cases", "tuned_on", "proven_on"),
    [
        (None, {("", nth) for nth in range(6)}, [("", 1000 + nth) for nth in range(6)]),
        (
            {"tuning": ["a"], "held_out": list("cdefgh")},
            {("a", nth) for nth in range(6)},
            [(case, 1000 + nth) for case in "cdefgh" for nth in range(6)],
        ),
    ],
    ids=["repeats", "cases"],
)
def test_pairs_are_measured_in_turns_and_on_nothing_that_was_tuned_on(
    conducted: Any, cases: Any, tuned_on: Any, proven_on: Any
) -> None:
    """A machine that gets warm, or a lucky draw of the tuning, must not make a winner; a case is one pair, not six."""
    asked_for: list[Asked] = []

    def measure(asked: Asked) -> dict[str, float]:
        asked_for.append(asked)
        return {"f1": 0.8, "ms": 10 * float(asked.params["x"])}

    evaluate = {"command": ["true"], "repeats": 6} | ({"cases": cases} if cases else {})
    record = conducted(measure, evaluate=evaluate, budget={"trials": 1})
    tuning, proof = asked_for[:12], asked_for[12:]
    assert {(one.case, one.repeat) for one in tuning} == tuned_on
    for x in (0.5, 0.25):
        assert [(one.case, one.repeat) for one in proof if one.params["x"] == x] == proven_on
    begun = [one.params["x"] for one in proof if one.repeat == 1000 or not one.case]
    assert begun == [0.5, 0.25, 0.25, 0.5] * 3
    assert record["verdict"]["pairs"] == 6


def test_killed_while_it_proves_a_cycle_goes_on_with_the_same_candidate(conducted: Any, clock: Clock) -> None:
    """Another one, found in what the last trial left of the time, would be a second throw at the same cases."""
    tried: list[float] = []
    kill = True

    def measure(asked: Asked) -> dict[str, float]:
        nonlocal kill
        x = float(asked.params["x"])
        if x != 0.5 and asked.case == "a":
            tried.append(x)
            clock.now += 45
            if len(tried) > 2:
                raise EvaluationError("timed_out", "it took longer")
        if asked.case == "d" and kill:
            kill = False
            raise Killed
        return {"f1": 0.8, "ms": 10 * abs(x - 0.25)}

    how: dict[str, Any] = {"left_s": 1000, "evaluate": SLOW, "budget": {"trials": 9, "wall_clock_s": 100}}
    with pytest.raises(Killed):
        conducted(measure, **how)
    record = conducted(measure, **how)
    assert len(tried) == 3
    assert (record["ended"], record["winner"]["params"]) == ("time", {"x": 0.25})


def test_what_was_measured_before_a_kill_is_not_measured_again(conducted: Any) -> None:
    """A night of work is not begun anew, nor does a baseline or a proof that came out badly get a second throw."""
    asked_for: Counter[tuple[float, str]] = Counter()

    def measure(asked: Asked) -> dict[str, float]:
        x = float(asked.params["x"])
        asked_for[x, asked.case] += 1
        if asked_for.total() in (2, 20, 38):
            raise Killed
        return {"f1": 0.8, "ms": 10 * abs(x - 0.25)}

    for _ in range(3):
        with pytest.raises(Killed):
            conducted(measure)
    record = conducted(measure)
    assert record["winner"]["params"] == {"x": 0.25}
    assert sorted(asked_for.values())[-4:] == [1, 2, 2, 2], "only what was being measured is measured again"


@pytest.mark.parametrize("cases", ["a", "c"], ids=["tried", "proven"])
def test_what_the_cycle_cut_off_is_due_again_where_others_had_most_of_it(
    conducted: Any, clock: Clock, cases: str
) -> None:
    """A promotion turned down because another experiment took the night is lost, and its experiment for a week."""

    def measure(asked: Asked) -> dict[str, float]:
        if asked.params["x"] != 0.5 and asked.case in cases:
            clock.now += CYCLE_S
            raise EvaluationError("timed_out", "it took longer")
        return {"f1": 0.8, "ms": 10 * abs(float(asked.params["x"]) - 0.25)}

    with pytest.raises(EngineError, match="the next cycle tries it") as failed:
        conducted(measure, left_s=40, evaluate=SLOW, budget={"trials": 1})
    assert failed.value.reason == "no_time"


@pytest.mark.parametrize(
    ("cases", "said"),
    [("a", "every one of 1 trials failed, most of them: timed_out"), ("c", "there was no time left to prove it")],
    ids=["tried", "proven"],
)
def test_what_half_a_cycle_is_too_short_for_is_said_and_not_begun_for_ever(
    conducted: Any, clock: Clock, cases: str, said: str
) -> None:
    """The next cycle could do no better: a person must learn of it, and the promotion must not be tried each night."""

    def measure(asked: Asked) -> dict[str, float]:
        if asked.params["x"] != 0.5 and asked.case in cases:
            clock.now += CYCLE_S
            raise EvaluationError("timed_out", "it took longer")
        return {"f1": 0.8, "ms": 10 * abs(float(asked.params["x"]) - 0.25)}

    record = conducted(measure, left_s=60, evaluate=SLOW, budget={"trials": 1})
    assert record["verdict"]["reasons"] == [said]


def test_the_first_candidate_after_a_kill_that_the_budget_cuts_off_has_not_failed(conducted: Any, clock: Clock) -> None:
    """Only what had the whole budget and did not end has failed; this one had what the process before it left."""
    asked_for: Counter[float] = Counter()

    def measure(asked: Asked) -> dict[str, float]:
        x = float(asked.params["x"])
        asked_for[x] += 1
        clock.now += 40 if x != 0.5 else 0
        if asked.case == "a" and x == 0.3:
            raise Killed if asked_for[x] == 1 else EvaluationError("timed_out", "it took longer")
        return {"f1": 0.8, "ms": 10.0}

    how: dict[str, Any] = {"promoted": (0.25, 0.3), "evaluate": SLOW, "budget": {"trials": 2, "wall_clock_s": 100}}
    with pytest.raises(Killed):
        conducted(measure, left_s=CYCLE_S, **how)
    record = conducted(measure, left_s=CYCLE_S, **how)
    assert [one["state"] for one in record["trials"]] == ["complete"]
    assert asked_for[0.3] == 2


class Killed(BaseException):
    """In the place of SIGKILL: nothing is tidied up."""


def test_without_a_baseline_there_is_nothing_to_compare(conducted: Any) -> None:
    """A candidate that is compared with nothing would always win."""

    def measure(asked: Asked) -> dict[str, float]:
        raise EvaluationError("exit_status", "it ended with status 3")

    with pytest.raises(EngineError, match="what is in use cannot be measured: exit_status") as failed:
        conducted(measure)
    assert failed.value.reason == "baseline_failed"
