"""PocketSphinx, whose English model is inside its package: a pass with the language model, one with the commands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from pocketsphinx import Decoder, get_model_path

from services.audio_sensor.denoising import denoised
from services.audio_sensor.grammar import Grammar, parse
from services.audio_sensor.logic import Heard, choose
from signals.errors import ConfigError

FREE, COMMANDS = "_default", "commands"
MOST_HMMS = 3000
"""Active models in a frame: bounds the time that noise takes, which fits everything a little."""
MARGIN = b"\0" * 9600


class Sphinx:
    """Both passes over one acoustic model. `settings` are those of `hearing` in the manifest."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Raises `ConfigError` for a model that is not there, or commands that cannot be heard."""
        folder = Path(settings["model"] or Path(get_model_path()) / "en-us")
        acoustic = folder / "en-us" if not settings["model"] else folder / "acoustic"
        language = folder / ("en-us.lm.bin" if not settings["model"] else "language.lm.bin")
        dictionary = folder / ("cmudict-en-us.dict" if not settings["model"] else "dictionary.dict")
        for path in (acoustic, language, dictionary):
            if not path.exists():
                raise ConfigError(f"The model folder {folder} has no {path.name}. See docs/voice.md for what it holds.")
        self._decoder = Decoder(
            hmm=str(acoustic), lm=str(language), dict=str(dictionary), loglevel="FATAL", maxhmmpf=MOST_HMMS
        )
        self.name = f"pocketsphinx/{folder.name}"
        self._disagreement = float(settings["disagreement"])
        self._grammar = self._commands(settings["commands"], settings["commands_file"])

    def _commands(self, text: str, file: str) -> Grammar:
        grammar = parse(text, file, lambda word: bool(self._decoder.lookup_word(word)))
        if grammar.commands:
            self._decoder.add_jsgf_string(COMMANDS, grammar.jsgf)
        return grammar

    def hear(self, pcm: bytes) -> Heard:
        """What was said; a command only where both passes agree."""
        pcm = denoised(pcm)
        text = self._decode(FREE, pcm)
        free = Heard(text, self._confidence() if text else 0.0)
        if not self._grammar.commands:
            return free
        command = self._decode(COMMANDS, pcm)
        return choose(free, command if self._grammar.is_complete(command) else "", self._disagreement)

    def _decode(self, search: str, pcm: bytes) -> str:
        decoder = self._decoder
        decoder.activate_search(search)
        decoder.start_utt()
        decoder.process_raw(pcm + MARGIN, full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return str(found.hypstr).strip() if found is not None else ""

    def _confidence(self) -> float:
        """The mean posterior probability of the words; silences and noises are none."""
        sure = [one.prob for one in self._decoder.seg() if not one.word.startswith(("<", "[", "+"))]
        return round(min(1.0, max(0.0, fmean(sure))), 3) if sure else 0.0
