"""Keeps the sound of what was understood, only where a person has configured that."""

from __future__ import annotations

import wave
from pathlib import Path

from services.audio_sensor.segmenting import RATE

MOST = 100


def record(folder: Path, name: str, pcm: bytes) -> None:
    """Keep an utterance for the owner alone, and of all the newest; names sort by time. Raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with wave.open(str(folder / f"{name}.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm)
    for old in sorted(folder.glob("*.wav"))[:-MOST]:
        old.unlink(missing_ok=True)
