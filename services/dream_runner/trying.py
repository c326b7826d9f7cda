"""Tries candidates on the tuning cases, several at once where the budget says so, until the budget is spent."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import TrialState

from services.dream_runner.measuring import left_s, tuning
from services.dream_runner.study import FROM, OUTCOME, Candidates, finish, outcomes
from services.dream_runner.task import Task, tell
from services.experiments.comparing import Metrics
from services.experiments.evaluation import Asked, EvaluationError, evaluate, mean
from services.experiments.space import Value

Outcome = dict[str, Any]
Running = Future[dict[str, float]]


@dataclass
class _Trying:
    """A trial that is being measured."""

    trial: optuna.Trial
    params: dict[str, Value]
    todo: deque[Asked]
    found: list[Metrics] = field(default_factory=list)
    is_cut: bool = False
    """Whether what is being measured has less time than an evaluation may take."""

    @property
    def origin(self) -> str:
        return str(self.trial.user_attrs.get(FROM, "sampler"))


class Trials:
    """The trials of a cycle. `deadline`, on the monotonic clock, is the cycle's; `ended` says why no more is tried."""

    def __init__(self, task: Task, study: optuna.Study, deadline: float) -> None:
        self._study = study
        self._experiment = task.experiment
        self._objective = task.experiment.objective
        self._candidates = Candidates(study, task.experiment, task.present, task.seed)
        self._spent_before = float(study.user_attrs.get("spent_s", 0.0))
        self._began = time.monotonic()
        budget_ends = self._began + task.experiment.budget.wall_clock_s - self._spent_before
        self._ends = min(budget_ends, deadline)
        self.ended = "budget"
        self._best: float | None = None
        self._candidates.go_on()
        self._candidates.seed_with(task.seeds)
        self._first_may_fail = task.has_its_time and not outcomes(study)

    @property
    def injected(self) -> int:
        """How many fresh candidates were drawn because those of late were all alike."""
        return self._candidates.injected

    @property
    def spent_s(self) -> float:
        """Seconds since the first trial began, those of earlier processes of the cycle with them."""
        return self._spent_before + time.monotonic() - self._began

    def run(self, baseline: Metrics) -> None:
        """Try all that the budget allows; nothing where an earlier process has done so."""
        self._best = baseline[self._first]
        if "tuned" in self._study.user_attrs:
            self.ended = self._study.user_attrs["tuned"]
            return
        with ThreadPoolExecutor(self._experiment.budget.concurrency) as pool:
            self._run(pool)
        self._study.set_user_attr("tuned", self.ended)

    def tell(self, phase: str, nth: int) -> None:
        """Say how far the cycle is."""
        trials = self._experiment.budget.trials
        tell(progress={"trial": nth, "trials": max(trials, nth), "best": self._best, "phase": phase})

    # -- which, and for how long ---------------------------------------------------------------------

    @property
    def _first(self) -> str:
        return next(iter(self._objective.metrics))

    @property
    def _out_of_time(self) -> bool:
        return time.monotonic() > self._ends

    def _run(self, pool: ThreadPoolExecutor) -> None:
        budget, running = self._experiment.budget, dict[Running, _Trying]()
        begun = len(outcomes(self._study))
        while True:
            while len(running) < budget.concurrency and begun < budget.trials and (trying := self._next()):
                begun += 1
                running[self._begun(pool, trying)] = trying
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                trying = running.pop(future)
                if self._goes_on(trying, future):
                    running[self._begun(pool, trying)] = trying

    def _begun(self, pool: ThreadPoolExecutor, trying: _Trying) -> Running:
        limit_s = left_s(self._ends)
        # who had the whole budget, and did not end, has failed
        trying.is_cut = not self._first_may_fail and limit_s < self._experiment.evaluate.timeout_s
        return pool.submit(evaluate, self._experiment, trying.todo[0], limit_s)

    def _next(self) -> _Trying | None:
        if self._out_of_time:
            self.ended = "time"
            return None
        drawn = self._candidates.next() if self.ended != "exhausted" else None
        if drawn is None:
            self.ended = "exhausted"
            return None
        trial, params = drawn
        return _Trying(trial, params, deque(tuning(self._experiment, params)))

    # -- what came of it -----------------------------------------------------------------------------

    def _goes_on(self, trying: _Trying, future: Running) -> bool:
        """Take in a measurement; whether the trial has another one to come."""
        try:
            trying.found.append(future.result())
        except EvaluationError as error:
            if error.reason == "timed_out" and trying.is_cut:
                return self._given_up(trying)
            return self._end(trying, {"state": "failed", "reason": error.reason, "detail": str(error)[:500]})
        trying.todo.popleft()
        metrics = mean(trying.found)
        if not trying.todo:
            return self._end(
                trying, {"state": "complete", "metrics": metrics, "crossed": self._objective.crossed(metrics)}
            )
        if self._out_of_time:
            return self._given_up(trying)
        if self._falls_behind(trying, metrics):
            return self._end(trying, {"state": "pruned", "metrics": metrics})
        return True

    def _given_up(self, trying: _Trying) -> bool:
        """It ends without an outcome: it is no result that its time was over."""
        self._study.tell(trying.trial, state=TrialState.FAIL)
        return False

    def _falls_behind(self, trying: _Trying, metrics: Metrics) -> bool:
        """Whether most earlier trials were better on as many cases; what somebody proposed is measured to the end."""
        said = self._experiment.evaluate
        step, within = divmod(len(trying.found), said.repeats if said.tuning else 1)
        if len(self._objective.metrics) > 1 or within or trying.origin not in ("sampler", "drawn", "fresh"):
            return False
        trying.trial.report(metrics[self._first], step)
        return trying.trial.should_prune()

    def _end(self, trying: _Trying, outcome: Outcome) -> bool:
        """It ends with an outcome, which is kept before the sampler learns of it."""
        spent = self.spent_s
        if outcome["state"] == "complete" and self._objective.guardrails:
            trying.trial.set_constraint("guardrails", len(outcome["crossed"]))  # above 0: the sampler keeps away
        trying.trial.set_user_attr(OUTCOME, {**outcome, "at_s": round(spent, 3)})
        finish(self._study, trying.trial.number, outcome, self._experiment)
        self._first_may_fail = False
        self._study.set_user_attr("spent_s", spent)
        if outcome["state"] == "complete" and not outcome["crossed"]:
            self._take(outcome["metrics"])
        self.tell("tuning", len(outcomes(self._study)))
        return False

    def _take(self, metrics: Mapping[str, float]) -> None:
        """Remember it where it is the best so far."""
        better = max if self._objective.metrics[self._first] == "maximize" else min
        value = metrics[self._first]
        self._best = value if self._best is None else better(self._best, value)
