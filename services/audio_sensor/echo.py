"""Tells a person's voice from its own, which the microphone hears from the loudspeaker.

Only loudness is compared, frame by frame: what was played, shifted by the delay and made quieter as far as both run
alike, is what the microphone must hear; a person is what goes clearly beyond that. This needs no filter that has to be
learnt, and holds in a room that reverberates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.audio_sensor.segmenting import FRAME

MOST_DELAY = 40
"""Frames of 32 ms that sound may take from here through loudspeaker and microphone."""
ENOUGH = 25
"""Frames that must be compared before anything is taken for a person."""
ALIKE = 0.5
"""From this correlation on the microphone hears the loudspeaker."""
BEYOND_DB = 9.0
TAIL = 6
"""Frames for which a room goes on sounding."""
OF_THE_LAST = 12
PERSON = 7
"""So many of the last frames must go beyond the echo, and be speech, for a person to be speaking."""
FLOOR_DB = -75.0
AFTER_S = 0.6

Array = Any
"""Decibels, one a frame: an array of floats. The types of numpy are not there where the extra is not."""


def loudness(pcm: bytes) -> Array:
    """The loudness of each whole frame, in decibels of full scale, no less than the floor."""
    samples = np.frombuffer(pcm, np.int16)
    whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64) / 32768
    decibels: Array = 10 * np.log10(np.maximum((whole**2).mean(axis=1), 1e-12))
    return np.maximum(decibels, FLOOR_DB)


@dataclass(slots=True)
class Echo:
    """What is being played, and what the microphone hears meanwhile."""

    played: Array
    _heard: list[float] = field(default_factory=list)
    _speech: list[bool] = field(default_factory=list)

    @classmethod
    def of(cls, pcm: bytes) -> Echo:
        """For 16-bit mono at 16 kHz that is about to be heard."""
        return cls(loudness(pcm))

    def person(self, frame: bytes, probability: float, threshold: float) -> bool:
        """Whether a person speaks over it by now; one more frame of the microphone, and how probably it is speech."""
        self._heard.append(float(loudness(frame)[0]))
        self._speech.append(probability >= threshold)
        if len(self._heard) < ENOUGH:
            return False
        beyond = self._beyond()
        return sum(one and two for one, two in zip(beyond, self._speech[-OF_THE_LAST:], strict=True)) >= PERSON

    def _beyond(self) -> list[bool]:
        """Which of the last frames are louder than the echo can be."""
        heard = np.array(self._heard)
        delay, gain, alike = self._fit(heard)
        first = len(heard) - OF_THE_LAST
        expected = [self._expected(first + nth - delay, gain) if alike else FLOOR_DB for nth in range(OF_THE_LAST)]
        return [bool(one > other + BEYOND_DB) for one, other in zip(heard[first:], expected, strict=True)]

    def _expected(self, at: int, gain: float) -> float:
        """The loudest that the echo may be at a frame, with the room's tail and one frame of doubt about the delay."""
        near = self.played[max(0, at - TAIL) : max(0, at + 2)]
        return float(near.max()) + gain if len(near) else FLOOR_DB

    def _fit(self, heard: Array) -> tuple[int, float, bool]:
        """Delay in frames, gain in decibels, and whether the microphone hears the loudspeaker at all."""
        best = (0, 0.0, -1.0)
        for delay in range(MOST_DELAY):
            both = min(len(heard) - delay, len(self.played))
            if both < ENOUGH // 2:
                break
            mine, theirs = self.played[:both], heard[delay : delay + both]
            likeness = correlation(mine, theirs)
            if likeness > best[2]:
                loud = mine > np.median(mine)
                best = (delay, float(np.median((theirs - mine)[loud])) if loud.any() else 0.0, likeness)
        return best[0], best[1], best[2] >= ALIKE


def correlation(one: Sequence[float] | Array, other: Sequence[float] | Array) -> float:
    """Pearson's, 0 where one of them does not change."""
    a, b = np.asarray(one) - np.mean(one), np.asarray(other) - np.mean(other)
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 1e-9 else 0.0
