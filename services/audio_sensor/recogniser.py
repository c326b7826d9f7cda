"""The child that turns utterances into text, one at a time. It holds the models, and ends when the daemon has gone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

from services.audio_sensor import messages
from services.audio_sensor.logic import Heard
from signals.errors import LigandError


class Engine(Protocol):
    """What turns an utterance into text."""

    name: str

    def hear(self, pcm: bytes) -> Heard:
        """What was said in 16-bit mono at 16 kHz; an empty text when it was nothing."""


def engine_of(settings: Mapping[str, Any]) -> Engine:
    """The engine that the configuration names, ready to hear. Raises `LigandError` with what is missing."""
    if settings["engine"] == "faster_whisper":
        from services.audio_sensor.whisper import Whisper  # noqa: PLC0415 - only where it is wanted

        return Whisper(settings)
    from services.audio_sensor.sphinx import Sphinx  # noqa: PLC0415 - only where it is wanted

    return Sphinx(settings)


def main(settings: Mapping[str, Any]) -> int:
    """Answer each utterance on standard input by a message on standard output."""
    os.nice(5)  # what listens and what plays come first
    out = sys.stdout.buffer
    try:
        engine = engine_of(settings)
    except LigandError as error:
        messages.write(out, {"is": "trouble", "reason": error.message})
        return 1
    messages.write(out, {"is": "ready", "engine": engine.name})
    while (order := messages.read(sys.stdin.buffer)) is not None:
        began = time.monotonic()
        heard = engine.hear(order[1])
        facts = {"text": heard.text, "confidence": heard.confidence, "command": heard.command}
        messages.write(out, {"is": "heard", "stt_s": time.monotonic() - began, **facts})
    return 0
