"""Whether a research model can be asked: by what its worker told, and by its heartbeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WORKER = "model_worker@research"
KEPT = "model|"
SILENT_S = 20.0
"""Seconds after which a worker that beats every 5 s is gone."""


@dataclass(slots=True)
class Presence:
    """What is known of the worker. `told` are its servers and whether they answer; times are monotonic seconds."""

    started: float
    told: dict[str, bool] = field(default_factory=dict)
    beat_at: float | None = None
    any_at: float | None = None
    """When any daemon was last heard: who hears none cannot tell a silent worker from a bus that was away."""
    state: str = ""
    """What its last heartbeat said; empty where it has told something newer of its servers, or nothing yet."""
    message: str = ""

    @classmethod
    def of(cls, state: Mapping[str, Any], now: float) -> Presence:
        """From what the daemon kept."""
        told = {name.removeprefix(KEPT): bool(up) for name, up in state.items() if name.startswith(KEPT)}
        return cls(now, told)

    def heard(self, facts: Mapping[str, Any], now: float) -> None:
        """A heartbeat of any daemon."""
        if self.any_at is not None and now - self.any_at > SILENT_S:
            self.started, self.beat_at, self.state = now, None, ""  # the bus was away: all have time to be heard again
        self.any_at = now
        if facts["daemon"] == WORKER:
            self.beat_at, self.state, self.message = now, facts["state"], facts["message"]

    def came(self, server: str) -> None:
        """It told of a server that answers."""
        self.told[server] = True
        self.state = ""

    def went(self, server: str) -> None:
        """It told of a server that answers no more."""
        self.told.pop(server, None)
        self.state = ""

    def absent(self, now: float) -> tuple[str, str] | None:
        """Why no model can be asked, in a word and a sentence; None when one can.

        What counts is its newest word: the last heartbeat, or what it told since.
        """
        is_deaf = self.any_at is not None and now - self.any_at > SILENT_S
        last = self.started if self.beat_at is None else self.beat_at
        if now - last > SILENT_S and not is_deaf:
            return "not_running", f"{WORKER} does not run"
        if (not self.state or is_deaf) and not any(self.told.values()):
            return "unavailable", f"{WORKER} has told of no server that answers"
        if not is_deaf and self.state == "degraded":
            return "unavailable", self.message or f"{WORKER} has no server that answers"
        return None
