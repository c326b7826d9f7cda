"""Each detector beside the others: what it finds of what is said and of what is not, and what a frame costs."""

from __future__ import annotations

import time
from collections.abc import Iterator

from services.audio_sensor.detecting import ONNX
from services.audio_sensor.segmenting import FRAME, FRAME_BYTES
from services.runtime import extras
from tests.support.sound import RATE, VOICES, say
from tests.voice.measuring import USUAL, Sentence, detector, spans
from tests.voice.noise import KINDS, sound
from tests.voice.sentences import FREE, SAID_COMMANDS

NOISES = tuple(kind for kind in KINDS if kind != "babble")
SECONDS, FRAMES = 60.0, 2000


def lines() -> Iterator[str]:
    """The figures, in words; of those that are installed."""
    texts = [(text, voice) for voice in VOICES for text in (*SAID_COMMANDS, *FREE)]
    for engine in (USUAL, ONNX)[: 2 if extras.lacking("silero") is None else 1]:
        for decibels in (None, 15.0):
            found = [len(spans(Sentence(text, voice, decibels).pcm, engine)) for text, voice in texts]
            name = "clean" if decibels is None else "15 dB"
            yield f"{engine}, {name}: {sum(map(bool, found))} of {len(found)} sentences found, {found.count(1)} as one"
        false = {kind: len(spans(sound(kind, SECONDS), engine)) for kind in NOISES}
        yield f"{engine}: taken for speech in {SECONDS:g} s of " + ", ".join(
            f"{kind}: {n}" for kind, n in false.items()
        )
        yield f"{engine}: {cost_us(engine):.0f} us of CPU a frame of {1000 * FRAME / RATE:g} ms"


def cost_us(engine: str) -> float:
    """Microseconds of processor time that one frame takes."""
    judge, speech = detector(engine), say(FREE[0])
    frames = [speech[at : at + FRAME_BYTES] for at in range(0, len(speech) - FRAME_BYTES, FRAME_BYTES)]
    began = time.process_time()
    for nth in range(FRAMES):
        judge(frames[nth % len(frames)])
    return (time.process_time() - began) / FRAMES * 1e6
