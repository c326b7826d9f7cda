"""Conducts one experiment: the baseline is measured, candidates are tried, and the best one is proven or not."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from services.dream_runner import logic, verdicts
from services.dream_runner.measuring import Kept, NoTimeError, tuning
from services.dream_runner.proving import proven
from services.dream_runner.study import opened, outcomes
from services.dream_runner.task import EngineError, Task
from services.dream_runner.trying import Trials
from services.experiments.comparing import Metrics
from services.experiments.evaluation import EvaluationError, mean

SURVIVORS = 3
OVER = "the cycle's time (cycle_s in dream_runner.yaml) was over before"


def conduct(task: Task, began: float) -> dict[str, Any]:
    """Run the experiment to its end, from wherever it was left; its record. Raises `EngineError`.

    `began` is on the monotonic clock: `task.left_s` counts from there.
    """
    experiment = task.experiment
    study = opened(task.folder, experiment, task.seed)
    deadline = began + task.left_s
    kept, tried = Kept(study, experiment, deadline), Trials(task, study, deadline)
    baseline = _baseline(task, kept)
    tried.run(baseline)
    trials = outcomes(study)
    chosen = logic.finalist(experiment.objective, baseline, trials)
    if chosen is None:
        verdict = verdicts.none(trials, tried.ended)
    else:
        done = max(1, len(trials))
        verdict = proven(experiment, kept, task.present, chosen["params"], lambda: tried.tell("proving", done))
    if not verdict["wins"] and time.monotonic() > deadline:
        _require_its_time(task)
    task.require_unchanged()
    return _record(task, baseline, trials, chosen, verdict) | {
        "injected": tried.injected,
        "ended": tried.ended,
        "seconds": round(tried.spent_s, 3),
    }


def _baseline(task: Task, kept: Kept) -> dict[str, float]:
    """What is in use, measured on the tuning cases."""
    experiment = task.experiment
    try:
        return mean([kept.measured("baseline", asked) for asked in tuning(experiment, task.present)])
    except NoTimeError as error:
        _require_its_time(task)
        words = f"{experiment.name}: {OVER} what is in use was measured"
        raise EngineError("baseline_failed", words) from error
    except EvaluationError as error:
        words = f"{experiment.name}: what is in use cannot be measured: {error.reason}: {error}"
        raise EngineError("baseline_failed", words[:2000]) from error


def _require_its_time(task: Task) -> None:
    """Raise `EngineError` where others had most of the cycle: what that has cut off is no result, and is due again."""
    if not task.has_its_time:
        raise EngineError("no_time", f"{task.experiment.name}: {OVER} it came to a result; the next cycle tries it")


def _record(
    task: Task,
    baseline: Metrics,
    trials: Sequence[Mapping[str, Any]],
    chosen: Mapping[str, Any] | None,
    verdict: Mapping[str, Any],
) -> dict[str, Any]:
    experiment, objective = task.experiment, task.experiment.objective
    wins = chosen is not None and verdict["wins"]
    winner = {"params": chosen["params"], "n": chosen["n"]} if chosen is not None and wins else None
    latest = [one["params"] for one in trials[-logic.LOOKED_AT :]]
    return {
        "schema": 1,
        "cycle_id": task.cycle,
        "experiment": experiment.name,
        "digest": experiment.digest,
        "programs": dict(experiment.programs),
        "about": experiment.about,
        "objective": {"metrics": dict(objective.metrics), "least_effect": objective.least_effect},
        "sampler": logic.sampler(experiment),
        "present": dict(task.present),
        "baseline": dict(baseline),
        "trials": list(trials),
        "failed": dict(Counter(one["reason"] for one in trials if one["state"] == "failed")),
        "front": logic.front(objective, trials),
        "finalist": chosen["n"] if chosen is not None else None,
        "verdict": dict(verdict),
        "winner": winner,
        "survivors": [dict(one) for one in logic.survivors(objective, baseline, trials, SURVIVORS)],
        "spread": round(logic.spread(experiment.space, latest), 4),
    }
