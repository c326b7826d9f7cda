"""Tells a person's voice from its own, which the microphone hears from the loudspeaker.

Only loudness is compared, frame by frame and band by band: what was played, later by the delay and quieter by each
band's gain, is what the microphone must hear; a person is what goes clearly beyond that in several bands, or, while
delay and gain are not known, what is unlike everything that was played. This needs no filter that has to be learnt, and
a room that goes on sounding is allowed for.
"""

from __future__ import annotations

from collections import deque
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
WINDOW = 250
"""Frames of the microphone that are compared: 8 s."""
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
LATELY = 16
UNLIKE = 0.42
"""Below this likeness the last frames are nothing that was played: of its own voice 1 in 100 is as unlike."""
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


class Echo:
    """What is being played, and what the microphone hears meanwhile, by frames since the first of it.

    As soon as it is known when and how loudly the microphone hears the loudspeaker, a person is what goes beyond that;
    before, a person is who speaks unlike anything that is being played.
    """

    def __init__(self) -> None:
        self._now = 0
        self._played: Array = np.empty((0, BANDS))
        self._expected: Array = self._played
        self._heard: deque[Array] = deque(maxlen=WINDOW)
        self._speech: deque[bool] = deque(maxlen=OF_THE_LAST)
        self._delay: int | None = None
        """In frames; None while it is not known."""
        self._gain: Array = None
        """Of each band, in decibels; None where the microphone does not hear the loudspeaker."""

    def play(self, pcm: bytes, room: bytes = b"") -> None:
        """16-bit mono at 16 kHz is about to be heard; of what was played before, no more.

        `room` is what the microphone heard last before all of it.
        """
        if not len(self._played):
            self._heard.extend(loudness(room))
        before = self._played[: self._now]
        silence = np.full((self._now - len(before), BANDS), FLOOR_DB)
        self._played = np.vstack([before, silence, loudness(pcm)])
        self._expected = with_tail(self._played)
        self._delay = None

    def pass_by(self) -> None:
        """A frame that nobody may hear."""
        self._now += 1
        self._heard.clear()
        self._speech.clear()

    def person(self, frame: bytes, probability: float, threshold: float) -> bool:
        """Whether a person speaks over it by now; one more frame of the microphone, and how probably it is speech."""
        self._now += 1
        self._heard.append(loudness(frame)[0])
        self._speech.append(probability >= threshold)
        heard = np.array(self._heard)
        if self._now % FIT_EVERY == 0:
            self._fit(heard)
        room = np.percentile(heard, 10, axis=0) + NOISE_DB
        count = len(self._speech)
        bound = room if self._delay is None or self._gain is None else np.maximum(room, self._echo(count, self._delay))
        beyond = (heard[-count:] > bound).sum(axis=1) >= IN_BANDS
        if int((beyond & np.array(self._speech)).sum()) < PERSON:
            return False
        return self._delay is not None or self._likeness(np.maximum(heard[-LATELY:], room)) < UNLIKE

    def _at(self, count: int, delay: int) -> Array:
        """Which frame was being played so long before each of the last that were heard."""
        return np.arange(self._now - count, self._now) - delay

    def _echo(self, count: int, delay: int) -> Array:
        """How loud the echo can be in each of the last frames."""
        at = self._at(count, delay)
        inside = (at >= 0) & (at < len(self._expected))
        echo = self._expected[at.clip(0, len(self._expected) - 1)] + self._gain + BEYOND_DB
        return np.where(inside[:, None], echo, FLOOR_DB)

    def _likeness(self, heard: Array) -> float:
        """How much the last frames sound like anything that was played, whatever the delay and the bands' gains."""
        likeness = 0.0
        for delay in range(MOST_DELAY):
            at = self._at(len(heard), delay)
            inside = (at >= 0) & (at < len(self._played))
            played = np.full((len(heard), BANDS), FLOOR_DB)
            played[inside] = self._played[at[inside]]
            mine, theirs = (one - one.mean(axis=0) for one in (played, heard))
            likeness = max(likeness, correlation(mine.ravel(), theirs.ravel()))
        return likeness

    def _fit(self, heard: Array) -> None:
        """Find the delay, and each band's gain, as far as the microphone hears the loudspeaker at all."""
        mine, theirs = self._played.max(axis=1), heard.max(axis=1)
        found = []
        for delay in range(MOST_DELAY):
            at = self._at(len(heard), delay)
            inside = (at >= 0) & (at < len(mine))
            if inside.sum() >= ENOUGH:
                found.append((correlation(mine[at[inside]], theirs[inside]), delay))
        likeness, delay = max(found, default=(0.0, 0))
        if likeness >= SURE or len(found) == MOST_DELAY:
            self._delay = delay
            self._gain = self._gains(heard, delay) if likeness >= ALIKE else None

    def _gains(self, heard: Array, delay: int) -> Array:
        """By how much each band is quieter than it was played, where it was played loud."""
        at = self._at(len(heard), delay)
        inside = (at >= 0) & (at < len(self._played))
        played, there = self._played[at[inside]], heard[inside]
        loud = played >= np.percentile(played, 60, axis=0)
        return np.array([np.median((there - played)[loud[:, band], band]) for band in range(BANDS)])


def correlation(one: Array, other: Array) -> float:
    """Pearson's, 0 where one of them does not change."""
    a, b = one - np.mean(one), other - np.mean(other)
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 1e-9 else 0.0
