"""Conducts one experiment: the baseline is measured, candidates are tried, and the best one is proven or not."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import TrialState

from services.dream_runner import logic, verdicts
from services.dream_runner.study import FROM, OUTCOME, Candidates, finish, opened, outcomes
from services.dream_runner.task import EngineError, Task, tell
from services.experiments.comparing import Metrics, compare
from services.experiments.evaluation import Asked, EvaluationError, evaluate, mean
from services.experiments.model import Experiment
from services.experiments.space import Params, Value

HELD_OUT = 1000
"""Repeats of held-out measurements are numbered from here: one who seeds by them is not judged on what it was tuned."""
SURVIVORS = 3
LEAST_S = 0.1
Outcome = dict[str, Any]


def conduct(task: Task, began: float) -> dict[str, Any]:
    """Run the experiment to its end, from wherever it was left; its record. Raises `EngineError`.

    `began` is on the monotonic clock: `task.left_s` counts from there.
    """
    study = opened(task.folder, task.experiment, task.seed)
    return _Conductor(task, study, began + task.left_s).record()


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


class _NoTimeError(Exception):
    """The cycle's time was over before something was measured."""


class _Conductor:
    def __init__(self, task: Task, study: optuna.Study, deadline: float) -> None:
        self._task = task
        self._study = study
        self._deadline = deadline
        self._experiment: Experiment = task.experiment
        self._objective = task.experiment.objective
        self._kept: dict[str, Any] = dict(study.user_attrs)
        self._spent_before = float(self._kept.get("spent_s", 0.0))
        self._began = time.monotonic()
        self._candidates = Candidates(study, task.experiment, task.present, task.seed)
        self._ended = "budget"
        self._best: float | None = None
        self._any_ended = False

    def record(self) -> dict[str, Any]:
        self._candidates.go_on()
        self._candidates.seed_with(self._task.seeds)
        baseline = self._baseline()
        self._best = baseline[self._first]
        if "tuned" in self._kept:
            self._ended = self._kept["tuned"]
        else:
            self._tune(baseline)
            self._study.set_user_attr("tuned", self._ended)
        trials = outcomes(self._study)
        chosen = logic.finalist(self._objective, baseline, trials)
        verdict = self._proven(chosen) if chosen is not None else verdicts.none(trials, self._ended)
        self._task.require_unchanged()
        return self._written(baseline, trials, chosen, verdict)

    # -- measuring -----------------------------------------------------------------------------------

    @property
    def _first(self) -> str:
        return next(iter(self._objective.metrics))

    def _tuning(self, params: Params) -> list[Asked]:
        said = self._experiment.evaluate
        return [Asked(params, case, nth) for case in said.tuning or ("",) for nth in range(said.repeats)]

    def _measured(self, who: str, asked: Asked) -> Metrics:
        """One measurement, taken once for all processes of the cycle. Raises `EvaluationError`, `_NoTimeError`."""
        key = f"{who}|{asked.case}|{asked.repeat}"
        if key not in self._kept:
            left_s = self._left(self._deadline)
            try:
                kept: Any = {"metrics": evaluate(self._experiment, asked, left_s)}
            except EvaluationError as error:
                if error.reason == "timed_out" and left_s < self._experiment.evaluate.timeout_s:
                    raise _NoTimeError from error
                kept = {"reason": error.reason, "detail": str(error)}
            self._study.set_user_attr(key, kept)
            self._kept[key] = kept
        found = self._kept[key]
        if "reason" in found:
            raise EvaluationError(found["reason"], found["detail"])
        metrics: Metrics = found["metrics"]
        return metrics

    def _baseline(self) -> dict[str, float]:
        """What is in use, measured on the tuning cases."""
        try:
            return mean([self._measured("baseline", asked) for asked in self._tuning(self._task.present)])
        except _NoTimeError as error:
            words = f"{self._experiment.name}: the cycle's time (cycle_s in dream_runner.yaml) was over before"
            whole = self._task.left_s >= self._experiment.budget.wall_clock_s  # the next cycle would do no better
            reason = "baseline_failed" if whole else "no_time"
            raise EngineError(reason, f"{words} what is in use was measured") from error
        except EvaluationError as error:
            words = f"{self._experiment.name}: what is in use cannot be measured: {error.reason}: {error}"
            raise EngineError("baseline_failed", words[:2000]) from error

    # -- tuning --------------------------------------------------------------------------------------

    @property
    def _tuning_ends(self) -> float:
        """When, on the monotonic clock, the budget for tuning is spent."""
        return min(self._began + self._experiment.budget.wall_clock_s - self._spent_before, self._deadline)

    @property
    def _out_of_time(self) -> bool:
        return time.monotonic() > self._tuning_ends

    @staticmethod
    def _left(until: float) -> float:
        return max(LEAST_S, until - time.monotonic())

    def _begun(self, pool: ThreadPoolExecutor, trying: _Trying) -> Future[dict[str, float]]:
        left_s = self._left(self._tuning_ends)
        # who had the whole budget, and did not end, has failed
        trying.is_cut = self._any_ended and left_s < self._experiment.evaluate.timeout_s
        return pool.submit(evaluate, self._experiment, trying.todo[0], left_s)

    def _tune(self, baseline: Metrics) -> None:
        budget, running = self._experiment.budget, dict[Future[dict[str, float]], _Trying]()
        begun = len(outcomes(self._study))
        with ThreadPoolExecutor(budget.concurrency) as pool:
            while True:
                while len(running) < budget.concurrency and begun < budget.trials and (trying := self._next()):
                    begun += 1
                    running[self._begun(pool, trying)] = trying
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    trying = running.pop(future)
                    if self._goes_on(trying, future, baseline):
                        running[self._begun(pool, trying)] = trying

    def _next(self) -> _Trying | None:
        if self._out_of_time:
            self._ended = "time"
            return None
        drawn = self._candidates.next() if self._ended != "exhausted" else None
        if drawn is None:
            self._ended = "exhausted"
            return None
        trial, params = drawn
        return _Trying(trial, params, deque(self._tuning(params)))

    def _goes_on(self, trying: _Trying, future: Future[dict[str, float]], baseline: Metrics) -> bool:
        """Take in a measurement; whether the trial has another one to come."""
        try:
            trying.found.append(future.result())
        except EvaluationError as error:
            if error.reason == "timed_out" and trying.is_cut:
                return self._given_up(trying)
            self._end(trying, {"state": "failed", "reason": error.reason, "detail": str(error)[:500]}, baseline)
            return False
        trying.todo.popleft()
        metrics = mean(trying.found)
        if not trying.todo:
            crossed = self._objective.crossed(metrics)
            self._end(trying, {"state": "complete", "metrics": metrics, "crossed": crossed}, baseline)
        elif self._out_of_time:
            return self._given_up(trying)
        elif self._falls_behind(trying, metrics):
            self._end(trying, {"state": "pruned", "metrics": metrics}, baseline)
        else:
            return True
        return False

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

    def _end(self, trying: _Trying, outcome: Outcome, baseline: Metrics) -> None:
        spent = self._spent_before + time.monotonic() - self._began
        if outcome["state"] == "complete" and self._objective.guardrails:
            trying.trial.set_constraint("guardrails", len(outcome["crossed"]))  # above 0: the sampler keeps away
        trying.trial.set_user_attr(OUTCOME, {**outcome, "at_s": round(spent, 3)})
        finish(self._study, trying.trial.number, outcome, self._experiment)
        self._any_ended = True
        self._study.set_user_attr("spent_s", spent)
        if outcome["state"] == "complete" and not outcome["crossed"]:
            better = max if self._objective.metrics[self._first] == "maximize" else min
            value = outcome["metrics"][self._first]
            self._best = value if self._best is None else better(self._best, value)
        self._tell("tuning", len(outcomes(self._study)))

    def _tell(self, phase: str, nth: int) -> None:
        trials = self._experiment.budget.trials
        tell(progress={"trial": nth, "trials": max(trials, nth), "best": self._best, "phase": phase})

    # -- proving -------------------------------------------------------------------------------------

    def _proven(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """The verdict on the one candidate, on cases that nothing was tuned on."""
        done = max(1, len(outcomes(self._study)))
        found: dict[str, list[Metrics]] = {"baseline": [], "candidate": []}
        sides = [("baseline", self._task.present), ("candidate", chosen["params"])]
        for nth, unit in enumerate(self._units()):
            for who, params in sides if nth % 2 == 0 else reversed(sides):  # so that a drift favours neither
                key = f"held-out {logic.winner_id(self._experiment.name, who, params)}"
                try:
                    measured = [self._measured(key, Asked(params, case, repeat)) for case, repeat in unit]
                except _NoTimeError:
                    return verdicts.no("there was no time left to prove it")
                except EvaluationError as error:
                    return verdicts.no(f"a held-out measurement of the {who} failed: {error.reason}: {error}"[:500])
                found[who].append(mean(measured))
            self._tell("proving", done)
        compared = compare(found["baseline"], found["candidate"], self._objective)
        return verdicts.verdict(compared, self._objective.alpha, found)

    def _units(self) -> list[list[tuple[str, int]]]:
        """What is compared: a case with all its repeats is one pair; without cases each repeat is."""
        said = self._experiment.evaluate
        repeats = range(HELD_OUT, HELD_OUT + said.repeats)
        if said.held_out:
            return [[(case, nth) for nth in repeats] for case in said.held_out]
        return [[("", nth)] for nth in repeats]

    # -- the record ----------------------------------------------------------------------------------

    def _written(
        self,
        baseline: Metrics,
        trials: Sequence[Mapping[str, Any]],
        chosen: Mapping[str, Any] | None,
        verdict: Mapping[str, Any],
    ) -> dict[str, Any]:
        experiment, objective = self._experiment, self._objective
        wins = chosen is not None and verdict["wins"]
        winner = {"params": chosen["params"], "n": chosen["n"]} if chosen is not None and wins else None
        latest = [one["params"] for one in trials[-logic.LOOKED_AT :]]
        return {
            "schema": 1,
            "cycle_id": self._task.cycle,
            "experiment": experiment.name,
            "digest": experiment.digest,
            "programs": dict(experiment.programs),
            "about": experiment.about,
            "objective": {"metrics": dict(objective.metrics), "least_effect": objective.least_effect},
            "sampler": logic.sampler(experiment),
            "present": dict(self._task.present),
            "baseline": dict(baseline),
            "trials": list(trials),
            "failed": dict(Counter(one["reason"] for one in trials if one["state"] == "failed")),
            "front": logic.front(objective, trials),
            "finalist": chosen["n"] if chosen is not None else None,
            "verdict": dict(verdict),
            "winner": winner,
            "survivors": [dict(one) for one in logic.survivors(objective, baseline, trials, SURVIVORS)],
            "spread": round(logic.spread(experiment.space, latest), 4),
            "injected": self._candidates.injected,
            "ended": self._ended,
            "seconds": round(self._spent_before + time.monotonic() - self._began, 3),
        }
