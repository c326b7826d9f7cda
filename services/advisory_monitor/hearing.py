"""What the daemon remembers of signals, put with their settle; the checks look at it in their own time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from services.runtime import Daemon
from signals.envelope import Signal

HEARD = "heard"
MAX_ACKNOWLEDGED = 5_000
Put = Callable[[str, Any], None]


def register(daemon: Daemon) -> None:
    """Handle all that the manifest says is consumed."""

    @daemon.on("Q_PROMOTION_ACKNOWLEDGED")
    async def acknowledged(signal: Signal, put: Put) -> None:
        name = f"{HEARD}|promotions|acknowledged|{signal.facts['promotion_id']}"
        put(name, {"at": seconds(signal), "signal": signal.id})
        forget(daemon.state, f"{HEARD}|promotions|acknowledged|", MAX_ACKNOWLEDGED, put)

    @daemon.on("Q_DREAM_COMPLETE")
    async def dreamt(signal: Signal, put: Put) -> None:
        put(f"{HEARD}|promotions|last_dream", signal.timestamp)


def seconds(signal: Signal) -> float:
    """When the bus received it."""
    return datetime.fromisoformat(signal.received_at or signal.timestamp).timestamp()


def forget(state: Mapping[str, Any], lead: str, most: int, put: Put) -> None:
    """Forget the oldest of a kind beyond `most`; each has the time in `at`."""
    names = [name for name in state if name.startswith(lead)]
    if len(names) >= most:
        for name in sorted(names, key=lambda name: state[name]["at"])[: len(names) - most + 1]:
            put(name, None)
