"""What the daemon remembers of signals, put with their settle; the checks look at it in their own time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from services.runtime import Daemon
from signals.envelope import Signal, unix_seconds

HEARD = "heard"
MAX_ACKNOWLEDGED = 5_000
MAX_MODULES = 10_000
MAX_SERVERS = 64
MAX_WRITTEN = 1_000
MAX_BUCKETS = 360
BUCKET_S = 10
"""Dead letters are counted by so many seconds."""
WORKER = "model_worker"
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

    _of_the_bus(daemon)
    _of_models(daemon)
    _of_modules(daemon)


def _of_the_bus(daemon: Daemon) -> None:
    @daemon.on("Q_DEAD_LETTER_ADDED")
    async def dead(signal: Signal, put: Put) -> None:
        now, facts = int(seconds(signal) // BUCKET_S), signal.facts
        counts = dict(daemon.state.get(f"{HEARD}|bus|dead", {"counts": []})["counts"])
        counts[now] = counts.get(now, 0) + 1
        last = f"{facts['signal'] or 'no signal at all'} of {facts['daemon'] or 'nobody known'} ({facts['reason']})"
        kept = sorted(counts.items())[-MAX_BUCKETS:]
        put(f"{HEARD}|bus|dead", {"counts": kept, "last": last, "signal": signal.id})

    @daemon.on("Q_CONSUMER_LAGGING")
    @daemon.on("Q_CONSUMER_RECOVERED")
    async def lag(signal: Signal, put: Put) -> None:
        facts, well = signal.facts, signal.signal == "Q_CONSUMER_RECOVERED"
        kept = {"lag": facts["lag"], "oldest_age_s": facts["oldest_age_s"], "bound": facts.get("lag_bound", 0)}
        put(f"{HEARD}|bus|lag|{facts['consumer'][:150]}", kept | {"well": well, "signal": signal.id})

    @daemon.on("Q_JOURNAL_PRESSURE")
    async def pressure(signal: Signal, put: Put) -> None:
        kept = {name: signal.facts[name] for name in ("used_bytes", "budget_bytes", "action")}
        put(f"{HEARD}|bus|journal", kept | {"signal": signal.id})


def _of_models(daemon: Daemon) -> None:
    @daemon.on("Q_MODEL_AVAILABLE")
    @daemon.on("Q_MODEL_UNAVAILABLE")
    async def server(signal: Signal, put: Put) -> None:
        facts, up = signal.facts, signal.signal == "Q_MODEL_AVAILABLE"
        if facts.get("removed"):
            put(f"{HEARD}|models|{facts['role']}|{short(facts['server'])}", None)
            return
        kept = {"role": facts["role"], "server": facts["server"], "up": up, "signal": signal.id, "at": seconds(signal)}
        words = {"reason": facts.get("reason", ""), "hint": facts.get("hint", "")}
        put(f"{HEARD}|models|{facts['role']}|{short(facts['server'])}", kept | words)
        forget(daemon.state, f"{HEARD}|models|", MAX_SERVERS, put)

    @daemon.on("Q_DAEMON_READY")
    @daemon.on("Q_DAEMON_STOPPING")
    async def worker(signal: Signal, put: Put) -> None:
        program, _, role = signal.facts["daemon"].partition("@")
        lead, stopped = f"{HEARD}|models|{role}|", signal.signal == "Q_DAEMON_STOPPING"
        if program == WORKER:
            for name, kept in daemon.state.items():
                if name.startswith(lead) and kept.get("stopped", False) != stopped:
                    put(name, kept | {"stopped": stopped})


def _of_modules(daemon: Daemon) -> None:
    @daemon.on("Q_MODULE_INTEGRATED")
    @daemon.on("Q_INTEGRATION_SKIPPED")
    async def known(signal: Signal, put: Put) -> None:
        facts = signal.facts
        place = facts.get("module_path") or facts.get("module_name")
        if signal.signal == "Q_MODULE_INTEGRATED":
            _written(daemon, signal, put)
        if place is None:
            return
        put(f"{HEARD}|modules|{short(place)}", {"at": seconds(signal), "signal": signal.id})
        forget(daemon.state, f"{HEARD}|modules|", MAX_MODULES, put)


def _written(daemon: Daemon, signal: Signal, put: Put) -> None:
    """Remember which files a daemon wrote, so that they are not told of as changes."""
    facts, lead = signal.facts, f"{HEARD}|files|written|"
    put(f"{lead}{short(facts['registry'])}", {"at": seconds(signal), "sha256": facts["registry_sha256"]})
    if facts["created_init"]:
        made = f"{facts['module_path']}/__init__.py"
        put(f"{lead}{short(made)}", {"at": seconds(signal), "sha256": None})
    forget(daemon.state, lead, MAX_WRITTEN, put)


def short(text: str) -> str:
    """A name of bounded length for what may be long."""
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def seconds(signal: Signal) -> float:
    """When the bus received it."""
    return unix_seconds(signal.received_at or signal.timestamp)


def forget(state: Mapping[str, Any], lead: str, most: int, put: Put) -> None:
    """Forget the oldest of a kind beyond `most`; each has the time in `at`."""
    names = [name for name in state if name.startswith(lead)]
    if len(names) >= most:
        for name in sorted(names, key=lambda name: state[name]["at"])[: len(names) - most + 1]:
            put(name, None)
