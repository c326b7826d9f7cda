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


class EngineError(Exception):
    """The experiment came to no result. `reason` is one word."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Task:
    """What one process is to do. `seeds` are settings to try first, each with where it comes from; `left_s` is all
    the time there is, from now."""

    experiment: Experiment
    cycle: str
    folder: Path
    present: Params
    seeds: list[tuple[Params, str]]
    seed: int
    left_s: float

    @classmethod
    def of(cls, said: dict[str, Any]) -> Task:
        """The task as the daemon wrote it. Raises `ConfigError`."""
        experiment = load(Path(said["file"]), Path(said["config"]))
        seeds = [found for one in said["seeds"] if (found := _seed(experiment, one)) is not None]
        folder = Path(said["folder"])
        return cls(experiment, said["cycle"], folder, said["present"], seeds, said["seed"], said["left_s"])


def _seed(experiment: Experiment, said: dict[str, Any]) -> tuple[Params, str] | None:
    """A setting to try first; None where the experiment has been changed since and it does not fit any more."""
    try:
        return experiment.normal(said["params"]), said["from"]
    except ValueError:
        return None


def tell(**said: Any) -> None:
    """Say something to the daemon."""
    sys.stdout.buffer.write(orjson.dumps(said) + b"\n")
    sys.stdout.flush()
