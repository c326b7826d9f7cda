"""What is done around a change to know whether it is good: commands of the experiment, and its metric in place."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from services.experiments import evaluation
from services.experiments.child import run
from services.experiments.comparing import compare
from services.experiments.evaluation import Asked, EvaluationError
from services.experiments.model import Experiment, Health
from services.experiments.space import Params
from services.runtime.units import whole
from services.winner_deployer.logic import Refused

COMMAND_S = 30.0
COMMAND_MIB = 512
_OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY", "LISTEN_FDS", "LISTEN_PID")
Metrics = Mapping[str, float]
Wait = Callable[[float], None]
"""Let so many seconds pass; raises when told to stop."""


def measured(experiment: Experiment, params: Params, wait: Wait) -> list[Metrics]:
    """The experiment's own metrics of these values: one measurement a held-out case, or a repeat.

    Raises `Refused` when one fails: what was not measured is not better.
    """
    said = experiment.evaluate
    try:
        if not said.held_out:
            return [_once(experiment, Asked(params, "", nth), wait) for nth in range(said.repeats)]
        return [
            evaluation.mean([_once(experiment, Asked(params, case, nth), wait) for nth in range(said.repeats)])
            for case in said.held_out
        ]
    except EvaluationError as error:
        raise Refused(
            "not_measured", f"The experiment's metric could not be measured: {error.reason}: {error}"
        ) from error


def _once(experiment: Experiment, asked: Asked, wait: Wait) -> Metrics:
    wait(0.0)
    return evaluation.evaluate(experiment, asked)


def judge(experiment: Experiment, before: Sequence[Metrics], after: Sequence[Metrics]) -> str:
    """What was measured in place, in words. Raises `Refused` unless it is better somewhere and worse nowhere."""
    found = compare(before, after, experiment.objective).metrics
    crossed = experiment.objective.crossed(evaluation.mean(after))
    shown = "; ".join(f"{one.metric} {one.after:.6g} against {one.before:.6g}" for one in found)
    if crossed:
        raise Refused("worse", f"A guardrail is crossed in place: {'; '.join(crossed)}.")
    if any(one.effect < 0 for one in found):
        raise Refused("worse", f"Measured in place it is worse than before: {shown}.")
    if not any(one.effect > 0 for one in found):
        raise Refused("worse", f"Measured in place it is no better than before: {shown}.")
    return shown


def require_healthy(experiment: Experiment, windows: int, wait: Wait) -> None:
    """Look at the end of each window whether the health command succeeds. Raises `Refused`."""
    health = experiment.target.health
    for nth in range(windows if health else 0):
        assert health is not None
        wait(health.window_s)
        _look(health, experiment.file.parent, f"window {nth + 1} of {windows}")


def require_healthy_before(experiment: Experiment) -> None:
    """What is not well before a change could not be judged after it. Raises `Refused`."""
    if health := experiment.target.health:
        try:
            _look(health, experiment.file.parent, "before the change")
        except Refused as error:
            raise Refused("unhealthy_before", error.detail) from error


def _look(health: Health, folder: Path, when: str) -> None:
    if fault := fault_of(health.command, folder):
        raise Refused("unhealthy", f"The health command failed, {when}: {fault}")


def fault_of(command: Sequence[str], folder: Path, *, may_leave: bool = False) -> str | None:
    """What went wrong with a command; None when it ended with status 0 in time.

    `may_leave`: a service that it starts anew goes on.
    """
    environ = {name: value for name, value in os.environ.items() if name not in _OURS}
    try:
        limits: dict[str, Any] = {"memory_mib": COMMAND_MIB, "timeout_s": COMMAND_S, "may_leave": may_leave}
        ended = run(command, b"", environ=environ, folder=folder, **limits)
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    if ended.timed_out:
        return f"{command[0]} took longer than {COMMAND_S:g} s"
    said = f": {ended.errors[-500:]}" if ended.errors else ""
    return f"{command[0]} ended with status {ended.status}{said}" if ended.status else None


def cannot_reload(experiment: Experiment, units: Sequence[str]) -> str:
    """Why the target could not be reloaded from here, so that nothing is tried; empty when nothing speaks against it.

    `units` are those that a rule of polkit lets this daemon reload.
    """
    command = experiment.target.reload
    if not command or os.geteuid() == 0 or PurePath(command[0]).name != "systemctl" or "--user" in command:
        return ""
    verb, *meant = [word for word in command[1:] if not word.startswith("-")] or [""]
    if verb != "reload":
        return f"`systemctl {verb}` is not what a rule of polkit lets it do: only `systemctl reload UNIT` is."
    allowed = {*map(whole, units)}
    missing = [unit for unit in map(whole, meant) if unit not in allowed]
    if meant and not missing:
        return ""
    options = "".join(f" --allow-reload {unit}" for unit in sorted({*allowed, *missing}))
    return (
        f"It takes a rule of polkit (docs/deployment.md) to reload {', '.join(missing) or 'that unit'}: "
        f"`sudo ligand install --system{options}` writes it."
    )
