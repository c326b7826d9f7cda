"""The configuration as it is used, built once from the checked file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from services.gaze_sensor.logic import Bounds, Times, bounds_of
from signals.errors import ConfigError

AUTO = "auto"
SEEING = ("camera", "model", "face", "face_distance", "fps", "stall_s")


@dataclass(frozen=True, slots=True)
class Seeing:
    """What the child is told: another one is needed when it changes."""

    camera: str
    model: str
    face: str
    face_distance: float
    fps: float
    stall_s: float
    enrolled: tuple[tuple[float, ...], ...] = ()
    """The features of the face that counts, where not the largest does; see `enrolment`."""
    model_stamp: int = 0
    """When the model was written: another one in its place is another model."""


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
        _check_address(config["camera"])
        _check_bounds(config["bounds"])
        times = Times(**config["attention"])
        if times.lose > times.gain:
            raise ConfigError(
                f"gaze_sensor: attention.lose ({times.lose:g}) is above attention.gain ({times.gain:g}): "
                "it would be lost as soon as it is gained. Set lose lower than gain."
            )
        return cls(
            enabled=config["enabled"],
            seeing=Seeing(**{name: config[name] for name in SEEING}),
            bounds=bounds_of(config["bounds"], config["straight"]),
            times=times,
        )


def _check_address(camera: str) -> None:
    if "://" not in camera:
        return
    try:
        urlsplit(camera).port  # noqa: B018 - which is looked at only now
    except ValueError:
        words = "gaze_sensor: camera is no address of a stream. Write it as http://HOST:PORT/PATH or rtsp://HOST/PATH."
        raise ConfigError(words) from None  # the cause repeats it, with its password


def _check_bounds(bounds: Mapping[str, Mapping[str, float]]) -> None:
    for name, pair in bounds.items():
        if pair["none"] == pair["full"]:
            raise ConfigError(
                f"gaze_sensor: bounds.{name}: none and full are both {pair['none']:g}. "
                "Set apart from where on it counts fully, and from where on not at all."
            )
