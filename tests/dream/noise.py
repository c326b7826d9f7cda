"""Cycles over nothing but noise: how often one has a winner, which is a false one."""

from __future__ import annotations

import math
import random

from services.dream_runner import logic
from services.experiments.comparing import compare
from services.experiments.model import Objective

CANDIDATES = 40
LEVELS = ((0.05, 8), (0.01, 8), (0.0005, 12))
"""Levels of the test (alpha) and pairs that are compared."""
ONCE_IN = 1000


def noise(chance: random.Random) -> float:
    """A measurement that has nothing to do with what is measured."""
    return chance.gauss(0.8, 0.05)


def false_winners(alpha: float, pairs: int, cycles: int) -> tuple[int, int]:
    """How many of the cycles had a candidate that looked better on tuning cases, and how many of these won.

    Its two decisions alone, of 40 candidates each.
    """
    chance, objective = random.Random(f"noise at {alpha}"), Objective({"f1": "maximize"}, (), alpha, 0.01)

    def trial(n: int) -> dict[str, object]:
        return {"n": n, "state": "complete", "metrics": {"f1": noise(chance)}, "crossed": []}

    chosen = wins = 0
    for _ in range(cycles):
        best = logic.finalist(objective, {"f1": noise(chance)}, [trial(n) for n in range(CANDIDATES)])
        before, after = [[{"f1": noise(chance)} for _ in range(pairs)] for _ in range(2)]
        chosen += best is not None
        wins += best is not None and compare(before, after, objective).wins
    return chosen, wins


def most_by_chance(alpha: float, cycles: int) -> int:
    """So many false winners an honest test of this level has; more only once in a thousand times (binomial)."""
    most, tail = 0, 1.0
    while (tail := tail - math.comb(cycles, most) * alpha**most * (1 - alpha) ** (cycles - most)) > 1 / ONCE_IN:
        most += 1
    return most
