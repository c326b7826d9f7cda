"""Values held against bounds: what was bad stays bad within the margin, also over a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.advisory_monitor.logic import Bounds, Severity
from services.advisory_monitor.seen import Look, Reading


def bounds(config: Mapping[str, Any]) -> Bounds:
    """The bounds of a section of the configuration."""
    return Bounds(config["warning"], config["critical"], config["margin"])


class Gauge:
    """Remembers how bad each value was at the last look."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str | None], Severity | None] = {}

    def read(
        self,
        now: Look,
        check: str,
        value: float,
        limits: Bounds,
        *,
        unit: str,
        message: str,
        hint: str,
        subject: str | None = None,
    ) -> Reading:
        """The reading of one value."""
        key = (check, subject)
        severity = limits.severity(value, self._before.get(key) or now.told.get(key))
        self._before[key] = severity
        return Reading(check, severity, round(value, 2), limits.bound(severity), unit, message, hint, subject)
