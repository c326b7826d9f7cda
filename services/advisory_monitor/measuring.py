"""Values held against bounds: what was bad stays bad within the margin, also over a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.advisory_monitor.filesystems import Room
from services.advisory_monitor.logic import Bounds, Severity
from services.advisory_monitor.seen import Look, Reading

GIB = 1 << 30


def bounds(config: Mapping[str, Any], name: str) -> Bounds:
    """The bounds of one value in a section of the configuration."""
    return Bounds(config[f"{name}_warning"], config[f"{name}_critical"], config[f"{name}_margin"])


class Gauge:
    """Remembers how bad each value was at the last look, where it was."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str | None], Severity] = {}

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
        self._before.pop(key, None)
        if severity is not None:
            self._before[key] = severity
        return Reading(check, severity, round(value, 2), limits.bound(severity), unit, message, hint, subject)

    def room(self, now: Look, place: str, limits: Bounds, more: str) -> Iterator[Reading]:
        """The readings of a file system; `more` is added to what a person can do. Raises OSError."""
        room, hint = Room.of(place), f"Remove what is not needed there. {more}"
        words = f"The file system at {place} is {room.used:.0f} % full, {room.free / GIB:.1f} GiB are free."
        yield self.read(now, "disk", room.used, limits, unit="percent", message=words, hint=hint, subject=place)
        used = room.inodes_used
        words = f"The file system at {place} has used {used:.0f} % of its inodes: it is full of small files."
        yield self.read(now, "inodes", used, limits, unit="percent", message=words, hint=hint, subject=place)
