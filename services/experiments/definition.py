"""Experiments as files: one each, `experiments/NAME.yaml` in the configuration folder; the file's stem is its name."""

from __future__ import annotations

import hashlib
from pathlib import Path

from services.experiments.model import Experiment
from signals.errors import ConfigError
from signals.files import read_regular

FOLDER = "experiments"
MAX_BYTES = 256 << 10


def load(path: Path, config: Path, *, startable: bool = True) -> Experiment:
    """The experiment in a file; `config` is the configuration folder that relative targets lie in.

    `startable`: one whose evaluation is known not to start is refused; who only wants to know what is tuned takes it.
    Raises `ConfigError` with the fields `file`, `line`, `key` and `problems` (all of them).
    """
    from services.experiments.reading import read  # noqa: PLC0415 - a daemon that never loads one needs no CEL

    try:
        raw = read_regular(path, MAX_BYTES)
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error
    if len(raw) > MAX_BYTES:
        raise _unreadable(path, f"it is larger than {MAX_BYTES >> 10} KiB")
    return read(raw, path, config, hashlib.sha256(raw).hexdigest(), startable=startable)


def _unreadable(path: Path, why: str) -> ConfigError:
    words = f"Cannot read the experiment {path}: {why}."
    return ConfigError(words, file=str(path), line=0, key="", problems=[words])


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
