"""Where candidates come from: a real study on disk, gone on with after a kill, better than chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState

from services.dream_runner.study import OUTCOME, Candidates, finish, opened, outcomes
from services.experiments.constraints import compiled
from services.experiments.model import Experiment
from services.experiments.space import Parameter, Space
from tests.dream.functions import CASES, drawn, hypervolume, quality, tried

EXPERIMENT = CASES[0].experiment(20)


def complete(study, experiment: Experiment, trial) -> None:
    outcome = {"state": "complete", "metrics": {"f": 1.0}, "crossed": []}
    trial.set_user_attr(OUTCOME, outcome)
    finish(study, trial.number, outcome, experiment)


def test_a_killed_cycle_goes_on_with_what_it_had_begun(tmp_path: Path) -> None:
    """What was finished is known, what was being measured comes first again, and seeds are tried once."""
    study = opened(tmp_path, EXPERIMENT, 1)
    candidates = Candidates(study, EXPERIMENT, {}, 1)
    candidates.seed_with([({"x0": 1.0, "x1": 2.0}, "promotion:p"), ({"x0": 3.0, "x1": 4.0}, "survivor")])
    first = candidates.next()
    assert first is not None
    complete(study, EXPERIMENT, first[0])
    second = candidates.next()  # killed while this is measured
    assert second is not None
    assert [first[1], second[1]] == [{"x0": 1.0, "x1": 2.0}, {"x0": 3.0, "x1": 4.0}]

    again = opened(tmp_path, EXPERIMENT, 1)
    candidates = Candidates(again, EXPERIMENT, {}, 1)
    candidates.go_on()
    candidates.seed_with([({"x0": 1.0, "x1": 2.0}, "promotion:p")])
    resumed, third = candidates.next(), candidates.next()
    assert resumed is not None
    assert third is not None
    assert resumed[1] == second[1]
    assert resumed[0].user_attrs["from"] == "survivor"
    assert third[1] not in (first[1], second[1])
    assert [one["params"] for one in outcomes(again)] == [first[1]]


def test_an_outcome_that_was_kept_but_not_told_is_not_measured_again(tmp_path: Path) -> None:
    """Killed between keeping a result and telling the sampler: the night's work counts."""
    study = opened(tmp_path, EXPERIMENT, 1)
    drawn_first = Candidates(study, EXPERIMENT, {}, 1).next()
    assert drawn_first is not None
    drawn_first[0].set_user_attr(OUTCOME, {"state": "complete", "metrics": {"f": 2.0}, "crossed": []})
    again = opened(tmp_path, EXPERIMENT, 1)
    Candidates(again, EXPERIMENT, {}, 1).go_on()
    assert [one.state for one in again.get_trials()] == [TrialState.COMPLETE]
    assert again.best_value == 2.0


def test_candidates_keep_to_constraints_and_are_never_tried_twice(tmp_path: Path) -> None:
    """A small space is looked through once, and then the experiment ends instead of repeating itself."""
    kinds = {"a": "int", "b": "int"}
    space = Space((Parameter("a", "int", 0, 3), Parameter("b", "int", 0, 3)), (compiled("a > b", kinds),))
    experiment = replace(EXPERIMENT, space=space)
    study = opened(tmp_path, experiment, 3)
    candidates, found = Candidates(study, experiment, {"a": 1, "b": 0}, 3), []
    while (one := candidates.next()) is not None:
        complete(study, experiment, one[0])
        found.append((one[1]["a"], one[1]["b"]))
    assert sorted(found) == [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]  # (1, 0) is in use


def test_a_sampler_that_collapses_is_given_fresh_candidates(tmp_path: Path) -> None:
    """Circling around one point, a cycle would find nothing else."""
    study = opened(tmp_path, EXPERIMENT, 1)
    candidates = Candidates(study, EXPERIMENT, {}, 1)
    candidates.seed_with([({"x0": 1.0 + nth / 1e6, "x1": 2.0}, "survivor") for nth in range(8)])
    origins = []
    for _ in range(9):
        found = candidates.next()
        assert found is not None
        origins.append(found[0].user_attrs.get("from", "sampler"))
    assert origins == ["survivor"] * 8 + ["fresh"]
    assert candidates.injected == 1


@pytest.mark.parametrize("case", [CASES[0], CASES[1]], ids=lambda case: case.name)
def test_candidates_beat_random_search(case) -> None:
    """No better than chance, the whole engine would be of no use; `python -m tests.dream` measures more."""
    assert quality(case, tried(case, 40, 5)) < quality(case, drawn(case, 40, 5))


def test_the_hypervolume_is_that_of_the_front_alone() -> None:
    """The measure of two metrics must not count what another point dominates."""
    assert hypervolume([(0.0, 1.0), (1.0, 0.0)], (2.0, 2.0)) == pytest.approx(3.0)
    assert hypervolume([(0.0, 1.0), (1.0, 0.0), (1.0, 1.5), (3.0, 0.0)], (2.0, 2.0)) == pytest.approx(3.0)
