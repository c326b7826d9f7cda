"""Optuna as the engine of one experiment: candidates are asked for, measured, and told; all of it kept in SQLite."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from services.dream_runner import logic, records
from services.experiments.model import Experiment
from services.experiments.space import Parameter, Params, Value

OUTCOME, PARAMS, FROM = "outcome", "params", "from"
MAX_DRAWS = 64
PATIENT = 8
MAX_FRESH = 2000
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def opened(folder: Path, experiment: Experiment, seed: int) -> optuna.Study:
    """The study of an experiment, made or gone on with; one of another definition is another study."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = records.study_of(folder, experiment.name)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"creator": lambda: _connected(path)})
    return optuna.create_study(
        storage=storage,
        study_name=f"{experiment.name}-{experiment.digest[:16]}",
        directions=[StudyDirection[way.upper()] for way in experiment.objective.metrics.values()],
        sampler=_sampler(experiment, seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
        load_if_exists=True,
    )


def _connected(path: Path) -> sqlite3.Connection:
    """A commit survives a kill at once, a power cut within a moment: what is lost then is measured again."""
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _sampler(experiment: Experiment, seed: int) -> optuna.samplers.BaseSampler:
    trials = experiment.budget.trials
    match logic.sampler(experiment):
        case "nsga2":
            size = max(8, min(40, trials // 8))
            return optuna.samplers.NSGAIISampler(population_size=size, seed=seed)
        case "cmaes":
            return optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=10, warn_independent_sampling=False)
    grouped = any(one.when for one in experiment.space.parameters)
    return optuna.samplers.TPESampler(
        seed=seed,
        multivariate=True,
        group=grouped,
        n_startup_trials=max(5, min(10, trials // 4)),
    )


class Candidates:
    """Where settings come from: what is to be tried first, then the sampler; never the same one twice."""

    def __init__(self, study: optuna.Study, experiment: Experiment, present: Params, seed: int) -> None:
        self.study = study
        self.injected = 0
        self._experiment = experiment
        self._space = experiment.space
        self._draw = random.Random(f"{seed}:{len(study.get_trials(deepcopy=False))}")
        self._seen = {logic.canonical(present)}
        self._latest: list[Params] = []
        self._since = logic.LOOKED_AT

    def go_on(self) -> None:
        """Take up what an earlier process left: what it finished is known, what it had begun is to be tried again."""
        for trial in self.study.get_trials(deepcopy=False):
            known = trial.user_attrs.get(PARAMS) or trial.system_attrs.get("fixed_params")
            outcome = trial.user_attrs.get(OUTCOME)
            if trial.state == TrialState.RUNNING:
                if outcome is not None:
                    finish(self.study, trial.number, outcome, self._experiment)
                else:
                    self.study.tell(trial.number, state=TrialState.FAIL)
                    if known is not None:
                        self.study.enqueue_trial(known, user_attrs={FROM: trial.user_attrs.get(FROM, "sampler")})
            if known is not None and outcome is not None:
                self._seen.add(logic.canonical(known))
                self._latest.append(known)

    def seed_with(self, seeds: Sequence[tuple[Params, str]]) -> None:
        """Try these first; once for all processes of the cycle."""
        if self.study.user_attrs.get("seeded"):
            return
        for params, origin in seeds:
            self.study.enqueue_trial(dict(params), user_attrs={FROM: origin})
        self.study.set_user_attr("seeded", True)

    def next(self) -> tuple[optuna.Trial, dict[str, Value]] | None:
        """A setting that was not tried, within all constraints; None when none is left to be found."""
        self._since += 1
        if self._since > logic.LOOKED_AT and logic.has_collapsed(self._space, self._latest):
            self.injected += self._inject("fresh")
            self._since = 0
        for nth in range(1, MAX_DRAWS):
            trial = self.study.ask()
            params = self._suggested(trial)
            if self._is_new(params):
                self._seen.add(logic.canonical(params))
                self._latest.append(params)
                trial.set_user_attr(PARAMS, params)
                return trial, params
            self.study.tell(trial, state=TrialState.FAIL)
            if nth % PATIENT == 0 and not self._inject("drawn"):
                return None
        return None

    def _is_new(self, params: Params) -> bool:
        return logic.canonical(params) not in self._seen and not self._space.broken(params)

    def _inject(self, origin: str) -> bool:
        """Have a setting from anywhere in the space tried next; False when none that is new was found."""
        for _ in range(MAX_FRESH):
            params = logic.uniform(self._space, self._draw)
            if self._is_new(params):
                self.study.enqueue_trial(params, user_attrs={FROM: origin})
                return True
        return False

    def _suggested(self, trial: optuna.Trial) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for one in self._space.parameters:
            if self._space.is_active(one, found):
                found[one.name] = _suggest(trial, one)
        return found


def _suggest(trial: optuna.Trial, one: Parameter) -> Value:
    if one.kind == "categorical":
        return trial.suggest_categorical(one.name, one.choices)  # type: ignore[return-value]
    high = one.high if one.step is None else one.low + int((one.high - one.low) / one.step + 1e-9) * one.step
    if one.kind == "int":
        return trial.suggest_int(one.name, int(one.low), int(high), step=int(one.step or 1), log=one.log)
    return trial.suggest_float(one.name, one.low, high, step=one.step, log=one.log)


def finish(study: optuna.Study, number: int, outcome: Mapping[str, Any], experiment: Experiment) -> None:
    """Tell the study how a trial ended; its outcome is kept already."""
    state = STATES[outcome["state"]]
    complete = outcome["state"] == "complete"
    values = [outcome["metrics"][name] for name in experiment.objective.metrics] if complete else None
    study.tell(number, values, state=state)


def outcomes(study: optuna.Study) -> list[dict[str, Any]]:
    """Every trial that ended, as the record has it; draws that were not tried are left out."""
    return [
        {"n": nth, "params": trial.user_attrs[PARAMS], "from": trial.user_attrs.get(FROM, "sampler"), **outcome}
        for nth, (trial, outcome) in enumerate(_ended(study), start=1)
    ]


def _ended(study: optuna.Study) -> list[tuple[FrozenTrial, dict[str, Any]]]:
    trials = study.get_trials(deepcopy=False)
    return [(trial, trial.user_attrs[OUTCOME]) for trial in trials if OUTCOME in trial.user_attrs]
