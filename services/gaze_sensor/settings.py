"""The configuration as it is used, built once from the checked file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.gaze_sensor.logic import Bounds, Ramp, Straight, Times
from signals.errors import ConfigError

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Seeing:
    """What the child is told: another one is needed when it changes."""

    camera: str
    fps: float
    faces: int
    stall_s: float


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole of it."""

    enabled: bool
    seeing: Seeing
    bounds: Bounds
    times: Times

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Settings:
        """From the checked configuration. Raises `ConfigError` for values that contradict each other."""
        bounds = {name: _ramp(name, pair) for name, pair in config["bounds"].items()}
        times = Times(**config["attention"])
        if times.lose > times.gain:
            raise ConfigError(
                f"gaze_sensor: attention.lose ({times.lose:g}) is above attention.gain ({times.gain:g}): "
                "it would be lost as soon as it is gained. Set lose lower than gain."
            )
        return cls(
            enabled=config["enabled"],
            seeing=Seeing(config["camera"], config["fps"], config["faces"], config["stall_s"]),
            bounds=Bounds(**bounds, straight=Straight(**config["straight"])),
            times=times,
        )


def _ramp(name: str, pair: Mapping[str, float]) -> Ramp:
    if pair["none"] == pair["full"]:
        raise ConfigError(
            f"gaze_sensor: bounds.{name}: none and full are both {pair['none']:g}. "
            "Set apart from where on it counts fully, and from where on not at all."
        )
    return Ramp(**pair)
