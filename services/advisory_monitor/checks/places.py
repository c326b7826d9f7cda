"""Room at places that a person names, such as one on the network; apart from the machine's own, for these may hang."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.advisory_monitor.logic import Pace
from services.advisory_monitor.measuring import Gauge, bounds
from services.advisory_monitor.reaching import grant_hint, reason
from services.advisory_monitor.seen import Look, Reading, Seen, Unseen
from signals.paths import Paths

MORE = "Or change places.disk_warning in advisory_monitor.yaml."


def make(config: Mapping[str, Any], paths: Paths) -> Places | None:
    """The check; None without anything in `paths`."""
    return Places(config) if config["paths"] else None


class Places:
    """Asks each place how full its file system is."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.pace = Pace(config["hold_s"], config["clear_s"], config["repeat_s"])
        self._paths: list[str] = config["paths"]
        self._bounds = bounds(config, "disk")
        self._gauge = Gauge()

    def look(self, now: Look) -> Seen:
        """Look once."""
        readings: list[Reading] = []
        unseen: list[Unseen] = []
        for path in self._paths:
            try:
                readings += self._gauge.room(now, path, self._bounds, MORE)
            except OSError as error:
                words = f"How full {path} is cannot be seen: {reason(error)}."
                unseen.append(Unseen(path, words, grant_hint(Path(path))))
        return Seen(readings=tuple(readings), unseen=tuple(unseen))

    def close(self) -> None:
        """Nothing is held."""
