"""Takes a steady noise, such as a fan's, out of an utterance, by the spectrum of its quietest moments.

A Wiener gain per frequency, smoothed over time: S. F. Boll, "Suppression of Acoustic Noise in Speech Using Spectral
Subtraction", IEEE Trans. ASSP 27 (1979), is where it began.
"""

from __future__ import annotations

import numpy as np

SIZE, HOP = 512, 128
QUIET = 0.2
"""The share of frames that are noise alone: what is kept from before and after speech."""
LEAST = 0.2
"""The least gain: what is silenced wholly sounds like nothing a recogniser has learnt."""
SMOOTH = 0.6


def denoised(pcm: bytes) -> bytes:
    """16-bit mono, of the same length."""
    samples = np.frombuffer(pcm, np.int16).astype(np.float64)
    if len(samples) < 4 * SIZE:
        return pcm
    window = np.sqrt(np.hanning(SIZE + 1)[:-1])
    padded = np.concatenate([np.zeros(SIZE), samples, np.zeros(2 * SIZE)])
    starts = np.arange(0, len(padded) - SIZE, HOP)
    spectra = np.fft.rfft(padded[starts[:, None] + np.arange(SIZE)] * window, axis=1)
    power = np.abs(spectra) ** 2
    inside = power[SIZE // HOP : -2 * SIZE // HOP]
    order = np.argsort(inside.sum(axis=1))[: max(4, int(len(inside) * QUIET))]
    noise = inside[order].mean(axis=0)
    for at in range(1, len(power)):
        power[at] = SMOOTH * power[at - 1] + (1 - SMOOTH) * power[at]
    gain = np.maximum(LEAST, 1 - noise / np.maximum(power, 1e-9))
    pieces = np.fft.irfft(spectra * gain, SIZE, axis=1) * window
    found = np.zeros(len(padded))
    for start, piece in zip(starts, pieces, strict=True):
        found[start : start + SIZE] += piece
    whole = found[SIZE : SIZE + len(samples)] * HOP / (SIZE / 2)
    return bytes(whole.clip(-32768, 32767).round().astype(np.int16).tobytes())
