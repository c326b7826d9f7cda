"""Measures for a cycle what must be known for sure: each measurement once for all its processes, within its time."""

from __future__ import annotations

import time
from typing import Any

import optuna

from services.experiments.comparing import Metrics
from services.experiments.evaluation import Asked, EvaluationError, evaluate
from services.experiments.model import Experiment
from services.experiments.space import Params

LEAST_S = 0.1


class NoTimeError(Exception):
    """The cycle's time was over before something was measured."""


def left_s(until: float) -> float:
    """How long a measurement may take that must end then, on the monotonic clock."""
    return max(LEAST_S, until - time.monotonic())


def tuning(experiment: Experiment, params: Params) -> list[Asked]:
    """All that is asked of a setting on the tuning cases."""
    said = experiment.evaluate
    return [Asked(params, case, nth) for case in said.tuning or ("",) for nth in range(said.repeats)]


class Kept:
    """Measurements that are kept in the study as soon as they are known. `deadline` is on the monotonic clock."""

    def __init__(self, study: optuna.Study, experiment: Experiment, deadline: float) -> None:
        self._study = study
        self._experiment = experiment
        self._deadline = deadline
        self._kept: dict[str, Any] = dict(study.user_attrs)

    def measured(self, who: str, asked: Asked) -> Metrics:
        """One measurement. Raises `EvaluationError`, `NoTimeError`."""
        key = f"{who}|{asked.case}|{asked.repeat}"
        if key not in self._kept:
            self._kept[key] = self._once(asked)
            self._study.set_user_attr(key, self._kept[key])
        found = self._kept[key]
        if "reason" in found:
            raise EvaluationError(found["reason"], found["detail"])
        metrics: Metrics = found["metrics"]
        return metrics

    def _once(self, asked: Asked) -> dict[str, Any]:
        limit_s = left_s(self._deadline)
        try:
            return {"metrics": evaluate(self._experiment, asked, limit_s)}
        except EvaluationError as error:
            if error.reason == "timed_out" and limit_s < self._experiment.evaluate.timeout_s:
                raise NoTimeError from error
            return {"reason": error.reason, "detail": str(error)}
