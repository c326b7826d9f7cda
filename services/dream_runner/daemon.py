"""Hears triggers and answers each with exactly one signal, one cycle at a time."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from services.dream_runner import logic
from services.dream_runner.cycle import Runner
from services.dream_runner.planning import ACKNOWLEDGED, Wish
from services.experiments import promotions, standing
from services.experiments.definition import load_all
from services.runtime import Daemon
from services.runtime.manifest import load_all as load_manifests
from signals.envelope import Signal, unix_seconds

MAX_ACKNOWLEDGED = 5_000
PERSON = "Q_DREAM_WANTED"
daemon = Daemon("dream_runner")


@daemon.on_check
def check() -> None:
    """Every experiment can be used, and tunes what is there. Raises a group of `ConfigError`, one for each fault."""
    found, refused = load_all(daemon.paths.config)
    reloaded = _reloaded()
    refused += [fault for one in found.values() if (fault := standing.fault(one, reloaded))]
    if refused:
        raise ExceptionGroup("experiments", refused)


def _reloaded() -> list[str]:
    """The daemons that read their configuration again when they are told to."""
    known = load_manifests(daemon.paths.manifests)
    return [
        name for name, one in known.items() if any(line.signal == "Q_CONFIGURATION_CHANGED" for line in one.consumes)
    ]


@daemon.every(60)
async def look() -> None:
    """Whether a cycle could run; what is missing may come without a restart."""
    importlib.invalidate_caches()
    missing = [name for name in ("optuna", "cmaes") if find_spec(name) is None]
    if missing:
        daemon.status(f"{' and '.join(missing)} cannot be loaded: no cycle can run", degraded=True)
    else:
        daemon.status("ready")


@daemon.on("Q_DREAM_TRIGGER")
@daemon.on(PERSON)
async def dream(signal: Signal, emit: Any, put: Any) -> None:
    """Run the cycle that a trigger asks for; handled again after a crash it goes on where it was."""
    facts = signal.facts
    wish = Wish(facts["reason"], facts.get("topic"), facts.get("experiment"), signal.signal == PERSON)
    came_at = unix_seconds(signal.received_at or signal.timestamp)
    runner = Runner(daemon.paths, daemon.state_dir, daemon.state, daemon.config, _progress)
    outcome = await runner.run(signal.id, came_at, wish)
    for one in outcome.acknowledged:
        emit("Q_PROMOTION_ACKNOWLEDGED", one)
    emit(outcome.signal, outcome.facts)
    for key, value in outcome.puts.items():
        put(key, value)
    _forget(put)
    told = {key: outcome.facts.get(key) for key in ("cycle_id", "reason", "detail") if key in outcome.facts}
    winners = len(outcome.facts.get("winners", ()))
    daemon.log.info("cycle_ended", outcome=outcome.signal, winners=winners, **told)


def _progress(facts: Mapping[str, Any]) -> None:
    daemon.emit_live("Q_DREAM_PROGRESS", facts)


def _forget(put: Any) -> None:
    """Forget the oldest acknowledgements of promotions that are gone."""
    judged = {key.removeprefix(ACKNOWLEDGED): at for key, at in daemon.state.items() if key.startswith(ACKNOWLEDGED)}
    there = promotions.names(promotions.beside(daemon.paths.intents))
    for name in logic.to_forget(judged, there, MAX_ACKNOWLEDGED):
        put(f"{ACKNOWLEDGED}{name}", None)
