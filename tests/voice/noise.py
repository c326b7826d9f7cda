"""Sounds that are no utterance, of any length: silence, noises, music-like tones, a room full of people."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from tests.support.sound import RATE, VOICES, say
from tests.voice.sentences import FREE

KINDS = ("silence", "white", "brown", "music", "babble")


def sound(kind: str, seconds: float, seed: int = 1) -> bytes:
    """16-bit mono at 16 kHz; the same for the same seed."""
    random, count = np.random.default_rng(seed), round(seconds * RATE)
    return pcm(_MADE[kind](count, random))


def pcm(samples: Any) -> bytes:
    return bytes(samples.clip(-32768, 32767).round().astype(np.int16).tobytes())


def with_noise(speech: bytes, decibels: float, seed: int = 1) -> bytes:
    """Speech under white noise that is quieter by so much."""
    samples = np.frombuffer(speech, np.int16).astype(np.float64)
    level = np.sqrt((samples**2).mean() / 10 ** (decibels / 10))
    return pcm(samples + np.random.default_rng(seed).normal(0, level, len(samples)))


def _silence(count: int, random: Any) -> Any:
    return random.normal(0, 3, count)


def _white(count: int, random: Any) -> Any:
    return random.normal(0, 1500, count)


def _brown(count: int, random: Any) -> Any:
    steps = random.normal(0, 120, count)
    found = np.empty(count)
    level = 0.0
    for start in range(0, count, RATE):  # leaky, second by second, so that it does not wander off
        part = np.cumsum(steps[start : start + RATE]) + level
        part -= np.linspace(0, part[-1] * 0.5, len(part))
        found[start : start + RATE], level = part, part[-1]
    return found


def _music(count: int, random: Any) -> Any:
    """Chords of decaying tones with overtones, a new one twice a second."""
    found = np.zeros(count + RATE)
    scale = 220 * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
    note = np.arange(RATE) / RATE
    for start in range(0, count, RATE // 2):
        for frequency in random.choice(scale, 3, replace=False):
            tones = sum(np.sin(2 * np.pi * frequency * n * note) / n for n in (1, 2, 3))
            found[start : start + RATE] += 2500 * tones * np.exp(-3 * note)
    return found[:count]


def _babble(count: int, random: Any) -> Any:
    """Six people at once, as from a television that is too far away to follow."""
    found = np.zeros(count)
    for nth in range(6):
        texts = random.permutation(FREE)
        speech = b"".join(_said(str(text), VOICES[nth % 3]) for text in texts[:6])
        samples = np.frombuffer(speech, np.int16).astype(np.float64)
        found += np.roll(np.resize(samples, count), int(random.integers(count))) * 0.35
    return found


@cache
def _said(text: str, voice: str) -> bytes:
    return say(text, voice)


_MADE = {"silence": _silence, "white": _white, "brown": _brown, "music": _music, "babble": _babble}
