"""Silero's model of voice activity on ONNX Runtime, for who has one, or a slow machine; nothing is ever fetched.

Since version 5 it takes `input` 1 x 576, `state` 2 x 1 x 128, `sr`: https://github.com/snakers4/silero-vad.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession, SessionOptions
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from services.audio_sensor.segmenting import FRAME, RATE
from signals.errors import ConfigError
from signals.files import read_regular

CONTEXT = 64
"""So many samples from before a frame it wants to see again."""
INPUTS, OUTPUTS = ["input", "sr", "state"], ["output", "stateN"]
MOST_BYTES = 64 << 20
_RAISED = (found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, Exception))
REFUSALS: tuple[type[Exception], ...] = (TypeError, ValueError, *_RAISED)
"""All that the runtime raises; its own have no common base."""


class Silero:
    """One model; the configured file, or the one inside the package `silero-vad` where none is."""

    def __init__(self, model: str) -> None:
        """Raises `ConfigError` for a model that is not there, or is none of these."""
        file = Path(model) if model else _inside()
        self._session = _loaded(file)
        self._state: Any
        self._context: Any
        self.reset()
        try:
            self(bytes(2 * FRAME))
        except REFUSALS as error:
            raise ConfigError(f"the model {file} cannot judge a frame of sound: {str(error)[:200]}") from error
        self.reset()

    def __call__(self, frame: bytes) -> float:
        """How probably it is speech, 0 to 1: 512 samples, 16-bit mono at 16 kHz."""
        samples = np.frombuffer(frame, np.int16).astype(np.float32) / 32768
        seen = np.concatenate([self._context, samples])
        inputs = {"input": seen[np.newaxis], "state": self._state, "sr": np.array(RATE, np.int64)}
        found, self._state = self._session.run(OUTPUTS, inputs)
        self._context = seen[-CONTEXT:].copy()  # of the whole nothing is to be kept
        return float(found.item())

    def reset(self) -> None:
        """Forget what came before."""
        self._state, self._context = np.zeros((2, 1, 128), np.float32), np.zeros(CONTEXT, np.float32)


def _inside() -> Path:
    package = find_spec("silero_vad")  # not imported: that would want torch
    if package is None or package.origin is None:
        raise ConfigError("detection.model is empty, and the package silero-vad, which has one, is not installed.")
    return Path(package.origin).parent / "data" / "silero_vad.onnx"


def _loaded(file: Path) -> Any:
    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal: what it would print is in the errors
    try:
        raw = read_regular(file, MOST_BYTES)
        if len(raw) > MOST_BYTES:
            raise ConfigError(f"the model {file} is larger than {MOST_BYTES >> 20} MiB; Silero's are a few.")
        session = InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise ConfigError(f"the model {file} cannot be read: {error.strerror}") from error
    except REFUSALS as error:
        raise ConfigError(f"{file} is no model for ONNX Runtime, or a damaged one: {str(error)[:200]}") from error
    takes, gives = ([one.name for one in ends] for ends in (session.get_inputs(), session.get_outputs()))
    if sorted(takes) != INPUTS or sorted(gives) != OUTPUTS:
        has, wanted = (f"{', '.join(one)} -> {', '.join(other)}" for one, other in ((takes, gives), (INPUTS, OUTPUTS)))
        raise ConfigError(
            f"{file} is no silero_vad.onnx since version 5: it has {has}, not {wanted}. Name one, or none."
        )
    return session
