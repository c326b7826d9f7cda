"""Whole cycles of the engine over nothing but noise: what is measured is drawn, all else is as in a night."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from services.dream_runner import conducting, measuring, trying
from services.dream_runner.task import Task
from services.experiments.definition import load
from tests.dream.noise import noise

EXPERIMENT = """\
about: nothing
target: {{file: x.yaml, format: yaml, keys: {{x: x, y: y}}}}
search_space: {{x: {{type: float, low: 0, high: 1}}, y: {{type: float, low: 0, high: 1}}}}
evaluate: {{command: ["true"], repeats: 1, cases: {{tuning: [a, b], held_out: {held_out}}}}}
objective: {{metrics: {{f1: maximize}}, alpha: {alpha}}}
budget: {{trials: 12}}
"""


def whole_cycles(alpha: float, pairs: int, cycles: int) -> tuple[int, int]:
    """How many cycles (baseline, 12 trials by optuna, proof) had a candidate to be proven, and how many a winner."""
    chance = random.Random(f"whole cycles at {alpha}")

    def drawn(*_: object) -> dict[str, float]:
        return {"f1": noise(chance)}

    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(measuring, "evaluate", drawn),
        patch.object(trying, "evaluate", drawn),
        patch.object(trying, "tell", lambda **_: None),
    ):
        found = [_record(Path(folder), alpha, pairs, nth) for nth in range(cycles)]
    return sum(one["finalist"] is not None for one in found), sum(one["winner"] is not None for one in found)


def _record(folder: Path, alpha: float, pairs: int, seed: int) -> Mapping[str, Any]:
    file = folder / "experiments" / "nothing.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(EXPERIMENT.format(alpha=alpha, held_out=[f"h{nth}" for nth in range(pairs)]))
    place = folder / str(seed)
    place.mkdir()
    task = Task(load(file, folder), folder, f"c-{seed}", place, {"x": 0.5, "y": 0.5}, [], seed, 600.0, 600.0)
    return conducting.conduct(task, time.monotonic())
