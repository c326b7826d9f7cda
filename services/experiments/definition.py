"""An experiment: what is tuned, within which bounds, measured how, and what counts as better.

One file each, `experiments/NAME.yaml` in the configuration folder; the file's stem is the experiment's name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.experiments.space import Params, Space
from signals.errors import ConfigError

FOLDER = "experiments"
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
    """One file, checked. `digest` is the SHA-256 of its bytes in hex."""

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

    def normal(self, params: Mapping[str, object]) -> Params:
        """The values in their types. Raises `ValueError` with everything that is wrong with them."""
        return self.space.normal(params)


def load(path: Path, config: Path) -> Experiment:
    """The experiment in a file; `config` is the configuration folder that relative targets lie in.

    Raises `ConfigError` with the fields `file`, `line`, `key` and `problems` (all of them).
    """
    from services.experiments.reading import read  # noqa: PLC0415 - a daemon that never loads one needs no CEL

    try:
        raw = path.read_bytes()
    except OSError as error:
        words = f"Cannot read the experiment {path}: {error.strerror}."
        raise ConfigError(words, file=str(path), line=0, key="", problems=[words]) from error
    return read(raw, path, config, hashlib.sha256(raw).hexdigest())


def files(config: Path) -> list[Path]:
    """The experiments' files of a configuration folder, by name; none where the folder is not there."""
    return sorted(path for path in (config / FOLDER).glob("*.yaml") if not path.name.startswith("."))


def load_all(config: Path) -> tuple[dict[str, Experiment], list[ConfigError]]:
    """Every experiment that can be used, by name, and why the others cannot."""
    found: dict[str, Experiment] = {}
    refused: list[ConfigError] = []
    for path in files(config):
        try:
            experiment = load(path, config)
        except ConfigError as error:
            refused.append(error)
        else:
            found[experiment.name] = experiment
    return found, refused
