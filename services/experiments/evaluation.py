"""One measurement of one setting, in a child process: a number for each metric, or a named reason why there is none.

What goes wrong is never a number: no exit status, time-out or sentinel can be taken for a fitness.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.experiments.child import MAX_OUTPUT, Ended, run
from services.experiments.exact import single
from services.experiments.model import Experiment
from services.experiments.space import MAX_MAGNITUDE, MAX_TEXT, Params

MOST_METRICS = 32
"""So many are kept, those that are asked for first; a signal carries no more, nor names longer than `MAX_TEXT`."""
_OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY", "LISTEN_FDS", "LISTEN_PID")


class EvaluationError(Exception):
    """There is no measurement. `reason` is one word, the text says more."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Asked:
    """One measurement that is wanted: of which setting, on which case ("" without cases), for the how manieth time."""

    params: Params
    case: str = ""
    repeat: int = 0


def evaluate(experiment: Experiment, asked: Asked, timeout_s: float | None = None) -> dict[str, float]:
    """Measure once. Raises `EvaluationError`: not_started, exit_status, killed, timed_out, output_too_large,
    not_metrics, metric_missing, metric_not_a_number, metric_not_finite, metric_not_plausible.

    Every metric of the objective and its guardrails must be there; further ones that are numbers are kept, up to
    `MOST_METRICS`. Blocks; to be called from a thread that lives until it returns.
    """
    said = experiment.evaluate
    limit_s = min(said.timeout_s, timeout_s) if timeout_s is not None else said.timeout_s
    try:
        with tempfile.TemporaryDirectory(prefix="ligand-evaluation-", ignore_cleanup_errors=True) as scratch:
            ended = run(
                _program(experiment),
                json.dumps(dict(asked.params)).encode(),
                environ=_environ(experiment, asked, scratch),
                folder=experiment.file.parent,
                memory_mib=said.memory_mib,
                timeout_s=limit_s,
            )
    except (OSError, ValueError) as error:  # a value with a NUL in it cannot be in an environment
        raise EvaluationError("not_started", f"it cannot be started: {error}") from error
    _judge(ended, limit_s)
    return metrics_of(ended.output, experiment.objective.measured)


def _program(experiment: Experiment) -> Sequence[str]:
    said = experiment.evaluate
    if said.python is None:
        return said.command
    return (sys.executable, "-m", "services.experiments.called", str(experiment.file.parent), said.python)


def _environ(experiment: Experiment, asked: Asked, scratch: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
    return {
        **inherited,
        **{f"LIGAND_PARAM_{name.upper()}": _text(value) for name, value in asked.params.items()},
        "LIGAND_EXPERIMENT": experiment.name,
        "LIGAND_CASE": asked.case,
        "LIGAND_REPEAT": str(asked.repeat),
        "TMPDIR": scratch,
    }


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _judge(ended: Ended, limit_s: float) -> None:
    said = f": {ended.errors}" if ended.errors else ""
    if ended.timed_out:
        raise EvaluationError("timed_out", f"it took longer than {limit_s:g} s{said}")
    if ended.overflowed:
        raise EvaluationError("output_too_large", f"it printed more than {MAX_OUTPUT:,} bytes; only the metrics belong")
    if not ended.started:
        raise EvaluationError("not_started", ended.errors or "it cannot be executed")
    if ended.status < 0:
        raise EvaluationError("killed", f"it was ended by signal {-ended.status}{said}")
    if ended.status:
        raise EvaluationError("exit_status", f"it ended with status {ended.status}{said}")


def metrics_of(output: bytes, wanted: Sequence[str]) -> dict[str, float]:
    """The metrics in what an evaluation printed: one JSON object. Raises `EvaluationError`."""
    try:
        found = json.loads(output, object_pairs_hook=single)
    except (ValueError, RecursionError) as error:
        raise EvaluationError("not_metrics", f"it printed no JSON object: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise EvaluationError("not_metrics", "it printed JSON, but no object of metrics")
    for name in wanted:
        if name not in found:
            raise EvaluationError("metric_missing", f"{name} is not among what it printed: {', '.join(found)[:200]}")
    asked = {name: _number(name, found[name]) for name in wanted}
    further = {name: float(value) for name, value in found.items() if name not in asked and _is_kept(name, value)}
    return dict([*asked.items(), *further.items()][:MOST_METRICS])


def _is_kept(name: str, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= MAX_MAGNITUDE and len(name) <= MAX_TEXT


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EvaluationError("metric_not_a_number", f"{name} is {json.dumps(value)[:100]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise EvaluationError("metric_not_finite", f"{name} is {value}")
    if abs(value) > MAX_MAGNITUDE:
        words = f"{name} is {str(value)[:24]}; say that there is none by exit status 1"
        raise EvaluationError("metric_not_plausible", words)
    return float(value)


def mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric that all of them have."""
    names = [name for name in found[0] if all(name in one for one in found)]
    return {name: math.fsum(one[name] for one in found) / len(found) for name in names}
