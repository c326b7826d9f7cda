"""faster-whisper with a model on this machine, for who has one; nothing is ever fetched."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.audio_sensor.grammar import parse
from services.audio_sensor.logic import Heard, words
from signals.errors import ConfigError

NEEDED = ("model.bin", "config.json", "tokenizer.json")


def model_folder(path: str) -> Path:
    """A folder with a model, checked here: the engine's own error would speak of the network. Raises `ConfigError`."""
    folder = Path(path)
    if not path or not folder.is_dir():
        raise ConfigError(f"hearing.model is {path!r}, which is no folder. Give that of a CTranslate2 Whisper model.")
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise ConfigError(f"{folder} is no CTranslate2 Whisper model: {', '.join(missing)} is missing.")
    return folder


class Whisper:
    """One model. `settings` are those of `hearing` in the manifest."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Raises `ConfigError` for a model that is not there, or a package that is not."""
        folder = model_folder(settings["model"])
        try:
            from faster_whisper import WhisperModel  # noqa: PLC0415 - a person installs it beside Ligand
        except ImportError as error:
            raise ConfigError("faster-whisper is not installed beside Ligand; see docs/voice.md.") from error
        self._model = WhisperModel(str(folder), device="auto", compute_type="default", local_files_only=True)
        self.name = f"faster-whisper/{folder.name}"[:128]
        self._language = settings["language"].partition("-")[0]
        self._grammar = parse(settings["commands"], settings["commands_file"])

    def hear(self, pcm: bytes) -> Heard:
        """What was said: a command where the words are one."""
        import numpy as np  # noqa: PLC0415 - of no use before

        sound = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768
        segments, _ = self._model.transcribe(
            sound, language=self._language, beam_size=5, condition_on_previous_text=False
        )
        found = [(one.text.strip(), one.avg_logprob, one.no_speech_prob) for one in segments]
        sure = [math.exp(min(0.0, mean)) * (1 - silent) for _, mean, silent in found]
        text = " ".join(text for text, _, _ in found).strip()
        if not text:
            return Heard("", 0.0)
        spoken = " ".join(words(text))
        confidence = round(sum(sure) / len(sure), 3)
        is_command = self._grammar.is_complete(spoken)
        return Heard(spoken if is_command else text, confidence, is_command)
