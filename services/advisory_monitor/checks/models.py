"""Model servers, as the model workers tell of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.advisory_monitor.logic import Pace
from services.advisory_monitor.seen import Look, Reading, Seen
from signals.paths import Paths


def make(config: Mapping[str, Any], paths: Paths) -> Models:
    """The check."""
    return Models(config)


class Models:
    """Judges what was heard of model servers."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.pace = Pace(config["hold_s"], config["clear_s"], config["repeat_s"])

    def look(self, now: Look) -> Seen:
        """Judge it as of now."""
        return Seen(readings=tuple(_reading(heard) for _, heard in sorted(now.heard.items())))

    def close(self) -> None:
        """Nothing is held."""


def _reading(heard: Mapping[str, Any]) -> Reading:
    role, server = heard["role"], heard["server"]
    is_away = not heard["up"] and not heard.get("stopped")
    words = f"The model server {server} answers."
    if is_away:
        words = f"The model server {server} does not answer model_worker@{role}: {heard['reason']}"
    elif not heard["up"]:
        words = f"The model server {server} did not answer, and model_worker@{role}, which needs it, was stopped."
    return Reading(
        "model_server",
        "warning" if is_away else None,
        "available" if heard["up"] else "unavailable",
        "available",
        "state",
        words,
        heard["hint"] or f"Start it, or mend model_worker@{role}.yaml.",
        f"{role} {server}",
        (heard["signal"],),
    )
