"""What the process of one experiment is told, and how it speaks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from services.experiments.definition import load
from services.experiments.model import Experiment
from services.experiments.space import Params
from signals.errors import ConfigError


class EngineError(Exception):
    """The experiment came to no result. `reason` is one word."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Task:
    """What one process is to do. `seeds` are settings to try first, each with where it comes from; `left_s` is all
    the time there is, from now, of the `cycle_s` that a cycle has."""

    experiment: Experiment
    config: Path
    cycle: str
    folder: Path
    present: Params
    seeds: list[tuple[Params, str]]
    seed: int
    left_s: float
    cycle_s: float

    @classmethod
    def of(cls, said: dict[str, Any]) -> Task:
        """The task as the daemon wrote it. Raises `ConfigError`, and `EngineError` where the plan was another's."""
        experiment = load(Path(said["file"]), Path(said["config"]))
        if experiment.digest != said["digest"]:
            raise changed(experiment)
        seeds = [(experiment.normal(one["params"]), one["from"]) for one in said["seeds"]]
        folder = Path(said["folder"])
        return cls(
            experiment,
            Path(said["config"]),
            said["cycle"],
            folder,
            said["present"],
            seeds,
            said["seed"],
            said["left_s"],
            said["cycle_s"],
        )

    @property
    def has_its_time(self) -> bool:
        """Whether the next cycle could give it no more: it has all its budget, or half a cycle."""
        return self.left_s >= min(self.experiment.budget.wall_clock_s, self.cycle_s / 2)

    def require_unchanged(self) -> None:
        """Raise `EngineError` where another file or program than at the beginning stands there: two were compared."""
        try:
            same = load(self.experiment.file, self.config).digest == self.experiment.digest
        except ConfigError:
            same = False
        if not same:
            raise changed(self.experiment)


def changed(experiment: Experiment) -> EngineError:
    """What was measured before and after cannot be compared."""
    words = "its file, or a program that measures, was edited meanwhile; the next cycle tries what stands there now"
    return EngineError("experiment_changed", f"{experiment.name}: {words}")


def tell(**said: Any) -> None:
    """Say something to the daemon."""
    sys.stdout.buffer.write(orjson.dumps(said) + b"\n")
    sys.stdout.flush()
