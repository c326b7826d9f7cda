"""systemd's units: those that have failed, and those that are started again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from shlex import quote
from typing import Any

from services.advisory_monitor.logic import Bounds, Pace, Severity
from services.advisory_monitor.measuring import Gauge, bounds
from services.advisory_monitor.seen import Look, Reading, Seen
from services.advisory_monitor.systemd import SYSTEM, USER, Manager, NoManager
from signals.paths import Paths


def make(config: Mapping[str, Any], paths: Paths) -> Units:
    """The check."""
    return Units(config)


class Units:
    """Asks the machine's manager, and the person's own where there is one."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.pace = Pace(config["hold_s"], config["clear_s"], config["repeat_s"])
        self._ignore: Sequence[str] = config["ignore"]
        self._critical: Sequence[str] = config["critical"]
        self._watched: Sequence[str] = config["restarts_of"]
        self._window_s = config["window_s"]
        self._bounds: Bounds = bounds(config, "restarts")
        self._restarts: dict[str, deque[tuple[float, int]]] = {}
        self._gauge = Gauge()

    def look(self, now: Look) -> Seen:
        """Look once. A machine without systemd lacks it; that is said, and is no alert."""
        readings: list[Reading] = []
        lacking = ""
        for scope in (SYSTEM, USER):
            try:
                with Manager.of(scope) as manager:
                    readings += self._failed(manager)
                    readings += self._restarting(manager, now)
            except NoManager as error:
                lacking = str(error) if scope == SYSTEM else lacking
        self._forget_those_not_seen_since(now.mono)
        return Seen(readings=tuple(readings), lacking=lacking)

    def close(self) -> None:
        """Each look closes its own connection."""

    def _failed(self, manager: Manager) -> Iterator[Reading]:
        for unit in manager.failed():
            if any(fnmatchcase(unit.name, pattern) for pattern in self._ignore):
                continue
            critical = any(fnmatchcase(unit.name, pattern) for pattern in self._critical)
            words = f"{unit.name} has failed{f' ({unit.description})' if unit.description else ''}."
            name = quote(unit.name)
            hint = f"See `{manager.journalctl} -u {name}`, then `{manager.systemctl} restart {name}`."
            severity: Severity = "critical" if critical else "warning"
            yield Reading("unit_failed", severity, "failed", "active", "state", words, hint, manager.subject(unit))

    def _restarting(self, manager: Manager, now: Look) -> Iterator[Reading]:
        for unit in manager.of_patterns(self._watched):
            count = self._within(manager.subject(unit), manager.restarts(unit), now.mono)
            words = f"{unit.name} was started again {count} times within {self._window_s / 60:g} minutes."
            hint = f"See `{manager.journalctl} -u {quote(unit.name)}`."
            yield self._gauge.read(
                now,
                "unit_restarts",
                count,
                self._bounds,
                unit="restarts",
                message=words,
                hint=hint,
                subject=manager.subject(unit),
            )

    def _within(self, subject: str, total: int, mono: float) -> int:
        """How much the count grew within the window; it begins anew when the unit is started by hand."""
        seen = self._restarts.setdefault(subject, deque())
        if seen and total < seen[-1][1]:
            seen.clear()
        seen.append((mono, total))
        while seen[0][0] < mono - self._window_s:
            seen.popleft()
        return total - seen[0][1]

    def _forget_those_not_seen_since(self, mono: float) -> None:
        """Of units that are gone nothing is kept: a machine may make a new one each minute."""
        for subject in [one for one, seen in self._restarts.items() if seen[-1][0] < mono]:
            del self._restarts[subject]
