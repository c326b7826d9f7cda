"""Standard functions of optimisation, as experiments that are measured in this process, and random search beside them.

Branin and Hartmann-6 after L. C. W. Dixon and G. P. Szegö, Towards Global Optimisation 2 (1978); Rastrigin's function
in four dimensions; ZDT1 after E. Zitzler, K. Deb and L. Thiele, Evolutionary Computation 8(2), 173-195 (2000).
"""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.dream_runner import logic
from services.dream_runner.study import OUTCOME, Candidates, finish, opened, outcomes
from services.experiments.model import Budget, Evaluate, Experiment, Objective, Target
from services.experiments.space import Parameter, Params, Space

Metrics = dict[str, float]
_A = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
_P = [
    [1312, 1696, 5569, 124, 8283, 5886],
    [2329, 4135, 8307, 3736, 1004, 9991],
    [2348, 1451, 3522, 2883, 3047, 6650],
    [4047, 8828, 8732, 5743, 1091, 381],
]
_C = [1.0, 1.2, 3.0, 3.2]


def branin(x: Sequence[float]) -> Metrics:
    """Least value 0.397887."""
    a, b = x
    inner = b - 5.1 / (4 * math.pi**2) * a**2 + 5 / math.pi * a - 6
    return {"f": inner**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(a) + 10}


def hartmann6(x: Sequence[float]) -> Metrics:
    """Least value -3.32237."""
    rows = zip(_C, _A, _P, strict=True)
    powers = ((c, sum(w * (at - p / 1e4) ** 2 for w, at, p in zip(a, x, place, strict=True))) for c, a, place in rows)
    return {"f": -sum(c * math.exp(-power) for c, power in powers)}


def rastrigin(x: Sequence[float]) -> Metrics:
    """Least value 0."""
    return {"f": 10 * len(x) + sum(one**2 - 10 * math.cos(2 * math.pi * one) for one in x)}


def zdt1(x: Sequence[float]) -> Metrics:
    """A front of two metrics: f2 = 1 - sqrt(f1)."""
    g = 1 + 9 * sum(x[1:]) / (len(x) - 1)
    return {"f1": x[0], "f2": g * (1 - math.sqrt(x[0] / g))}


@dataclass(frozen=True)
class Case:
    """A function over a box; `metrics` are all minimised."""

    name: str
    function: Callable[[Sequence[float]], Metrics]
    bounds: Sequence[tuple[float, float]]
    metrics: tuple[str, ...] = ("f",)

    def experiment(self, trials: int) -> Experiment:
        names = [f"x{nth}" for nth in range(len(self.bounds))]
        kinds = [Parameter(name, "float", low, high) for name, (low, high) in zip(names, self.bounds, strict=True)]
        return Experiment(
            name=self.name,
            file=Path("/nowhere.yaml"),
            digest="0" * 64,
            about=self.name,
            target=Target("x", Path("/x"), "yaml", {name: name for name in names}),
            space=Space(tuple(kinds)),
            evaluate=Evaluate(("true",), None, 1, 64, 5),
            objective=Objective(dict.fromkeys(self.metrics, "minimize"), (), 0.05, 0.01),
            budget=Budget(trials, 60, 1),
            autonomy="report",
        )

    def value(self, params: Params) -> Metrics:
        return self.function([float(one) for one in params.values()])


CASES = (
    Case("branin", branin, [(-5, 10), (0, 15)]),
    Case("hartmann6", hartmann6, [(0, 1)] * 6),
    Case("rastrigin", rastrigin, [(-5.12, 5.12)] * 4),
    Case("zdt1", zdt1, [(0, 1)] * 6, ("f1", "f2")),
)


def tried(case: Case, trials: int, seed: int) -> list[Metrics]:
    """What the runner's own candidates measure, in order."""
    experiment = case.experiment(trials)
    with tempfile.TemporaryDirectory() as folder:
        study = opened(Path(folder), experiment, seed)
        candidates = Candidates(study, experiment, {}, seed)
        for _ in range(trials):
            drawn = candidates.next()
            assert drawn is not None
            trial, params = drawn
            outcome = {"state": "complete", "metrics": case.value(params), "crossed": []}
            trial.set_user_attr(OUTCOME, outcome)
            finish(study, trial.number, outcome, experiment)
        return [one["metrics"] for one in outcomes(study)]


def drawn(case: Case, trials: int, seed: int) -> list[Metrics]:
    """What random search measures with the same budget."""
    draw, space = random.Random(seed), case.experiment(trials).space
    return [case.value(logic.uniform(space, draw)) for _ in range(trials)]


def quality(case: Case, found: Sequence[Mapping[str, float]]) -> float:
    """One number, the lower the better: the best value, or minus the hypervolume to the point (1.1, 10)."""
    if len(case.metrics) == 1:
        return min(one["f"] for one in found)
    return -hypervolume([(one["f1"], one["f2"]) for one in found], (1.1, 10.0))


def hypervolume(points: Sequence[tuple[float, float]], to: tuple[float, float]) -> float:
    """The area that the points dominate, both metrics minimised, up to a reference point."""
    area, ceiling = 0.0, to[1]
    for x, y in sorted(points):
        if x < to[0] and y < ceiling:
            area += (to[0] - x) * (ceiling - y)
            ceiling = y
    return area
