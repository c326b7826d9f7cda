"""Tells a person's voice from its own, which the microphone hears from the loudspeaker.

Only loudness is compared, frame by frame and band by band: what was played, later by the delay and quieter by each
band's gain, is what the microphone must hear; a person is what goes clearly beyond that in several bands. This needs no
filter that has to be learnt, and a room that goes on sounding is allowed for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from services.audio_sensor.segmenting import FRAME, RATE

Array = Any
"""An array of floats. The types of numpy are not there where the extra is not."""
EDGES = (100, 200, 300, 450, 650, 900, 1250, 1700, 2300, 3100, 4200, 5600, 7500)
"""Where the bands begin and end, in hertz."""
BANDS = len(EDGES) - 1
MOST_DELAY = 30
"""Frames of 32 ms that sound may take from here through loudspeaker and microphone."""
ENOUGH = 20
"""Frames that must be compared at each delay."""
SURE = 0.85
"""From this correlation on the delay is known, though later ones could not be compared yet."""
FIT_EVERY = 8
ALIKE = 0.5
"""From this correlation on the microphone hears the loudspeaker."""
DECAY_DB = 3.0
"""By so much a room grows quieter each frame: 60 dB in .64 s."""
BEYOND_DB = 7.0
IN_BANDS = 3
OF_THE_LAST = 12
PERSON = 6
"""So many of the last frames must go beyond the echo, and be speech, for a person to be speaking."""
FLOOR_DB = -75.0
NOISE_DB = 8.0
"""So far above its quietest frames the microphone must hear something."""
AFTER_S = 0.6

_FREQUENCIES = np.fft.rfftfreq(FRAME, 1 / RATE)
_WINDOW = np.hanning(FRAME)
_BINS = [np.flatnonzero((low <= _FREQUENCIES) & (high > _FREQUENCIES)) for low, high in pairwise(EDGES)]


def loudness(pcm: bytes) -> Array:
    """The loudness of each whole frame in each band, in decibels of full scale: (frames, BANDS)."""
    samples = np.frombuffer(pcm, np.int16)
    whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64) / 32768
    power = np.abs(np.fft.rfft(whole * _WINDOW, axis=1) / FRAME) ** 2
    bands = np.stack([power[:, bins].sum(axis=1) for bins in _BINS], axis=1)
    return np.maximum(10 * np.log10(np.maximum(bands, 1e-12)), FLOOR_DB)


def with_tail(played: Array) -> Array:
    """What a room makes of it: each frame goes on sounding, and one frame of doubt about the delay is allowed for."""
    found = played.copy()
    for at in range(1, len(found)):
        found[at] = np.maximum(found[at], found[at - 1] - DECAY_DB)
    later, earlier = np.vstack([found[1:], found[-1:]]), np.vstack([found[:1], found[:-1]])
    return np.maximum(found, np.maximum(later, earlier))


@dataclass(slots=True)
class Echo:
    """What is being played, and what the microphone hears meanwhile."""

    played: Array
    _expected: Array
    _heard: list[Array] = field(default_factory=list)
    _speech: list[bool] = field(default_factory=list)
    _delay: int = 0
    _sure: bool = False
    _gain: Array = None
    """Of each band, in decibels; None where the microphone does not hear the loudspeaker."""

    @classmethod
    def of(cls, pcm: bytes) -> Echo:
        """For 16-bit mono at 16 kHz that is about to be heard."""
        played = loudness(pcm)
        return cls(played, with_tail(played))

    def person(self, frame: bytes, probability: float, threshold: float) -> bool:
        """Whether a person speaks over it by now; one more frame of the microphone, and how probably it is speech."""
        self._heard.append(loudness(frame)[0])
        self._speech.append(probability >= threshold)
        count = len(self._heard)
        heard = np.array(self._heard)
        if count >= ENOUGH and (count - ENOUGH) % FIT_EVERY == 0:
            self._fit(heard)
        return self._sure and int((self._beyond(heard) & np.array(self._speech[-OF_THE_LAST:])).sum()) >= PERSON

    def _beyond(self, heard: Array) -> Array:
        """Which of the last frames are louder than the echo can be, and than the room is."""
        last = heard[-OF_THE_LAST:]
        bound = np.percentile(heard, 10, axis=0) + NOISE_DB
        if self._gain is not None:
            at: Array = np.arange(len(heard) - OF_THE_LAST, len(heard)) - self._delay
            inside = (at >= 0) & (at < len(self._expected))
            echo = np.where(inside[:, None], self._expected[at.clip(0, len(self._expected) - 1)] + self._gain, FLOOR_DB)
            bound = np.maximum(bound, echo + BEYOND_DB)
        return (last > bound).sum(axis=1) >= IN_BANDS

    def _fit(self, heard: Array) -> None:
        """Find the delay, and each band's gain, as far as the microphone hears the loudspeaker at all."""
        mine, theirs = self.played.max(axis=1), heard.max(axis=1)
        found = []
        for delay in range(MOST_DELAY):
            both = min(len(theirs) - delay, len(mine))
            if both < ENOUGH:
                break
            found.append((correlation(mine[:both], theirs[delay : delay + both]), delay, both))
        likeness, self._delay, both = max(found, default=(0.0, 0, 0))
        self._sure = likeness >= SURE or len(theirs) >= ENOUGH + MOST_DELAY
        self._gain = self._gains(heard[self._delay : self._delay + both], both) if likeness >= ALIKE else None

    def _gains(self, heard: Array, both: int) -> Array:
        """By how much each band is quieter than it was played, where it was played loud."""
        played = self.played[:both]
        loud = played >= np.percentile(played, 60, axis=0)
        return np.array([np.median((heard - played)[loud[:, band], band]) for band in range(BANDS)])


def correlation(one: Array, other: Array) -> float:
    """Pearson's, 0 where one of them does not change."""
    a, b = one - np.mean(one), other - np.mean(other)
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 1e-9 else 0.0
