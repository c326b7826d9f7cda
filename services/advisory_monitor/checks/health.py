"""The machine: room on its file systems, memory, swap, load, temperature."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import psutil

from services.advisory_monitor.filesystems import MOUNTS, mounts
from services.advisory_monitor.logic import Bounds, Pace
from services.advisory_monitor.measuring import GIB, Gauge, bounds
from services.advisory_monitor.seen import Look, Reading, Seen
from signals.paths import Paths

RAISE = "Or change health.{}_warning in advisory_monitor.yaml."


def make(config: Mapping[str, Any], paths: Paths) -> Health:
    """The check."""
    return Health(config)


class Health:
    """Reads what the kernel tells; what it does not tell on this machine is left out."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.pace = Pace(config["hold_s"], config["clear_s"], config["repeat_s"])
        self._bounds = {name: bounds(config, name) for name in ("disk", "memory", "swap", "load", "temperature")}
        self._gauge = Gauge()

    def look(self, now: Look) -> Seen:
        """Look once."""
        hidden: list[str] = []
        readings = (*self._disks(now, hidden), *self._memory(now), *self._load(now), *self._temperatures(now))
        note = f"hidden from it: the file systems at {', '.join(hidden[:5])}" if hidden else ""
        return Seen(readings=readings, note=note)

    def close(self) -> None:
        """Nothing is held."""

    def _disks(self, now: Look, hidden: list[str]) -> Iterator[Reading]:
        for mount in mounts(MOUNTS.read_bytes()):
            try:
                if mount.is_seen():
                    yield from self._gauge.room(now, mount.place, self._bounds["disk"], RAISE.format("disk"))
                    continue
            except OSError:  # as good as hidden: said below
                pass
            hidden.append(mount.place)

    def _memory(self, now: Look) -> Iterator[Reading]:
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        words = f"Memory is {memory.percent:.0f} % used, {memory.available / GIB:.1f} GiB are available."
        hint = f"End what needs most: ps -eo pid,rss,comm --sort=-rss | head. {RAISE.format('memory')}"
        yield self._gauge.read(
            now, "memory", memory.percent, self._bounds["memory"], unit="percent", message=words, hint=hint
        )
        if swap.total:
            words = f"Swap is {swap.percent:.0f} % used, {swap.free / GIB:.1f} GiB are free."
            hint = f"End what needs most memory. {RAISE.format('swap')}"
            yield self._gauge.read(
                now, "swap", swap.percent, self._bounds["swap"], unit="percent", message=words, hint=hint
            )

    def _load(self, now: Look) -> Iterator[Reading]:
        cores = os.cpu_count() or 1
        value = os.getloadavg()[1] / cores
        words = f"Over five minutes {value:.1f} tasks a core wanted to run ({cores} cores)."
        hint = f"Look at what is at work: top. {RAISE.format('load')}"
        yield self._gauge.read(now, "load", value, self._bounds["load"], unit="tasks a core", message=words, hint=hint)

    def _temperatures(self, now: Look) -> Iterator[Reading]:
        for chip, sensors in sorted(psutil.sensors_temperatures().items()):
            for number, sensor in enumerate(sensors):
                name = f"{chip} {sensor.label or number}"
                limits = _limits(self._bounds["temperature"], sensor.high, sensor.critical)
                words = f"{name} is at {sensor.current:.0f} °C."
                hint = f"Look at fans and dust. {RAISE.format('temperature')}"
                yield self._gauge.read(
                    now, "temperature", sensor.current, limits, unit="celsius", message=words, hint=hint, subject=name
                )


def _limits(usual: Bounds, high: float | None, critical: float | None) -> Bounds:
    """What the sensor itself calls high, where it makes sense; else the configured bounds."""
    if not high or not critical or not 40 <= high < critical <= 150:
        return usual
    return Bounds(high, critical, usual.margin)
