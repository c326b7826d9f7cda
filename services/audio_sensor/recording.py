"""Keeps the sound of what was understood, only where a person has configured that."""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path

from services.audio_sensor.segmenting import RATE

MOST = 100


def record(folder: Path, name: str, pcm: bytes) -> None:
    """Keep an utterance for the owner alone, and of all the newest; names sort by time. Raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    _write(folder / f"{name}.wav", _wav(pcm))
    for old in sorted(folder.glob("*.wav"))[:-MOST]:
        old.unlink(missing_ok=True)


def _wav(pcm: bytes) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm)
    return made.getvalue()


def _write(path: Path, whole: bytes) -> None:
    """All of it, or nothing."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(whole)
    except OSError:
        path.unlink()
        raise
