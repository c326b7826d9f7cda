"""Hears finished investigations and ends each with exactly one signal."""

from __future__ import annotations

import functools
from typing import Any

from services.capability_integrator.registry import Integrator
from services.runtime import Daemon
from signals.envelope import Signal

daemon = Daemon("capability_integrator")


@functools.cache
def _integrator() -> Integrator:
    return Integrator.of(daemon.config, daemon.state_dir)


@daemon.on_reload
async def reload() -> None:
    """Take the new configuration for the next investigation."""
    _integrator.cache_clear()


# A plain function: the frame runs it in a thread, so heartbeats go on while the disk works.
@daemon.on("Q_INVESTIGATION_COMPLETE")
def integrate(signal: Signal, emit: Any) -> None:
    """Register one module; a redelivered signal finds its own entry and says the same again."""
    outcome = _integrator().integrate(signal.id, signal.timestamp, signal.facts)
    emit(outcome.signal, outcome.facts)
    daemon.log.info("ended", outcome=outcome.signal, module=signal.facts.get("module_name"))
