"""Whether what an experiment tunes is there: told when it is written, not by a cycle in the night."""

from __future__ import annotations

from collections.abc import Collection

from services.experiments.definition import MAX_BYTES
from services.experiments.files import FileError
from services.experiments.model import Experiment
from services.experiments.targets import FormatError, read_values
from services.runtime.config_errors import dotted
from services.runtime.yamlmarks import parse
from signals.errors import ConfigError
from signals.files import read_regular


def fault(experiment: Experiment, daemons: Collection[str]) -> ConfigError | None:
    """What keeps its target from being tuned, None when nothing does; `daemons` are those that can be reloaded.

    A file that this process may not look into is left open: the daemon may.
    """
    reloaded = experiment.target.daemon
    if reloaded is not None and reloaded not in daemons:
        known = ", ".join(sorted(daemons))
        return _told(experiment, f"no daemon {reloaded} takes a new configuration; there are: {known}", "daemon")
    try:
        read_values(experiment)
    except FileError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return _told(experiment, f"{error.message} Write it, with the values that are in use now.", "file")
        return _told(experiment, error.message, "file") if error.reason == "target_refused" else None
    except FormatError as error:
        return _told(experiment, f"{experiment.target.path}: {error.message}", "keys")
    return None


def _told(experiment: Experiment, words: str, key: str) -> ConfigError:
    place = ("target", key)
    line = parse(read_regular(experiment.file, MAX_BYTES)).line(place)
    told = f"{experiment.file}:{line}: {dotted(place)}: {words}"
    return ConfigError(told, file=str(experiment.file), line=line, key=dotted(place), problems=[told])
