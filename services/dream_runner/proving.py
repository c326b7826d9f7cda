"""Proves the one candidate against what is in use, on cases that nothing was tuned on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.dream_runner import logic, verdicts
from services.dream_runner.measuring import Kept, NoTimeError
from services.experiments.comparing import Metrics, compare
from services.experiments.evaluation import Asked, EvaluationError, mean
from services.experiments.model import Evaluate, Experiment
from services.experiments.space import Params

HELD_OUT = 1000
"""Repeats of held-out measurements are numbered from here: one who seeds by them is not judged on what it was tuned."""


def proven(
    experiment: Experiment, kept: Kept, present: Params, candidate: Params, each: Callable[[], None]
) -> dict[str, Any]:
    """The verdict on a candidate. `each` is called after every pair."""
    found: dict[str, list[Metrics]] = {"baseline": [], "candidate": []}
    sides = [("baseline", present), ("candidate", candidate)]
    for nth, unit in enumerate(_units(experiment.evaluate)):
        for who, params in sides if nth % 2 == 0 else reversed(sides):  # so that a drift favours neither
            key = f"held-out {logic.winner_id(experiment.name, who, params)}"
            try:
                measured = [kept.measured(key, Asked(params, case, repeat)) for case, repeat in unit]
            except NoTimeError:
                return verdicts.no("there was no time left to prove it")
            except EvaluationError as error:
                return verdicts.no(f"a held-out measurement of the {who} failed: {error.reason}: {error}"[:500])
            found[who].append(mean(measured))
        each()
    compared = compare(found["baseline"], found["candidate"], experiment.objective)
    return verdicts.verdict(compared, experiment.objective.alpha, found)


def _units(said: Evaluate) -> list[list[tuple[str, int]]]:
    """What is compared: a case with all its repeats is one pair; without cases each repeat is."""
    repeats = range(HELD_OUT, HELD_OUT + said.repeats)
    if said.held_out:
        return [[(case, nth) for nth in repeats] for case in said.held_out]
    return [[("", nth)] for nth in repeats]
