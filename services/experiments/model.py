"""An experiment as data: what is tuned, within which bounds, measured how, and what counts as better."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.experiments.space import Params, Space

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Health:
    """A command that must succeed at the end of each of `windows` stretches of `window_s` seconds."""

    command: tuple[str, ...]
    windows: int
    window_s: float


@dataclass(frozen=True, slots=True)
class Target:
    """Where the values live. `file` is as written, `path` absolute; `keys`: parameter -> dotted key.

    At most one of `daemon` (reloaded by a signal) and `reload` (an argument vector) is set.
    """

    file: str
    path: Path
    format: str
    keys: Mapping[str, str]
    daemon: str | None = None
    reload: tuple[str, ...] = ()
    health: Health | None = None


@dataclass(frozen=True, slots=True)
class Evaluate:
    """How one setting is measured: `command`, or `python` as "module:function". Each candidate `repeats` times a case.

    Without cases there is one without a name, and its repeats are what is compared.
    """

    command: tuple[str, ...]
    python: str | None
    timeout_s: float
    memory_mib: int
    repeats: int
    tuning: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()

    @property
    def pairs(self) -> int:
        """How many independent differences the final comparison has."""
        return len(self.held_out) or self.repeats


@dataclass(frozen=True, slots=True)
class Guardrail:
    """Bounds of a metric that no winner may cross."""

    metric: str
    min: float | None = None
    max: float | None = None

    def fault(self, value: float) -> str | None:
        """What is wrong with a measured value, None when it is within."""
        if self.min is not None and not value >= self.min:
            return f"{self.metric} is {value:g}, below {self.min:g}"
        if self.max is not None and not value <= self.max:
            return f"{self.metric} is {value:g}, above {self.max:g}"
        return None


@dataclass(frozen=True, slots=True)
class Objective:
    """What counts as better. `metrics`: name -> "maximize" or "minimize"; the first is the fitness that is told.

    `least_effect` is a share of the baseline's value (an absolute difference where that is 0).
    """

    metrics: Mapping[str, str]
    guardrails: tuple[Guardrail, ...]
    alpha: float
    least_effect: float

    @property
    def measured(self) -> tuple[str, ...]:
        """Every metric that an evaluation must give."""
        return tuple(dict.fromkeys((*self.metrics, *(guard.metric for guard in self.guardrails))))

    def crossed(self, metrics: Mapping[str, float]) -> list[str]:
        """What is wrong with measured metrics: each guardrail that they cross."""
        return [fault for guard in self.guardrails if (fault := guard.fault(metrics[guard.metric]))]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a cycle may spend on this experiment."""

    trials: int
    wall_clock_s: float
    concurrency: int


@dataclass(frozen=True, slots=True)
class Experiment:
    """One file, checked. `programs`: the files that measure, each with its SHA-256; `digest`: of all of it, in hex."""

    name: str
    file: Path
    digest: str
    about: str
    target: Target
    space: Space
    evaluate: Evaluate
    objective: Objective
    budget: Budget
    autonomy: str
    programs: Mapping[str, str] = field(default_factory=dict)

    def normal(self, params: Mapping[str, object]) -> Params:
        """The values in their types. Raises `ValueError` with everything that is wrong with them."""
        return self.space.normal(params)
