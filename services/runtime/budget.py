"""What a daemon may use and how often it speaks, as its manifest says; the system test holds it to that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_POSITIVE = {"type": "number", "exclusiveMinimum": 0}
_RATE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["min", "max"],
    "properties": {"min": {"type": "number", "minimum": 0}, "max": _POSITIVE},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["cpu", "idle_cpu", "memory_mib", "log_lines_per_s", "per_minute"],
    "properties": {
        "cpu": _POSITIVE,
        "idle_cpu": _POSITIVE,
        "memory_mib": _POSITIVE,
        "log_lines_per_s": _POSITIVE,
        "per_minute": {
            "type": "object",
            "propertyNames": {"pattern": "^Q_[A-Z0-9]+(_[A-Z0-9]+)*$"},
            "additionalProperties": _RATE,
        },
    },
}


@dataclass(frozen=True, slots=True)
class Budget:
    """Upper bounds of one daemon, and the rates of what it emits by the clock.

    `cpu` and `idle_cpu` are shares of one core (processor time by wall time) while it works on example input and
    while it has nothing to do; `memory_mib` is proportional memory (PSS). `per_minute` gives the least and the most
    of each periodic signal.
    """

    cpu: float
    idle_cpu: float
    memory_mib: float
    log_lines_per_s: float
    per_minute: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Budget:
        """The budget in a manifest that fits its schema."""
        rates = {name: (float(rate["min"]), float(rate["max"])) for name, rate in found["per_minute"].items()}
        bounds = {name: float(found[name]) for name in ("cpu", "idle_cpu", "memory_mib", "log_lines_per_s")}
        return cls(**bounds, per_minute=rates)
