"""Finds and opens microphones and loudspeakers through PortAudio. Runs in children only: what fails there ends there.

Streams are read and written by a thread, not called back: a callback into Python needs memory that is writable and
executable, which the unit forbids.

PortAudio reaches PulseAudio and PipeWire through ALSA, where a loudspeaker's own monitor looks like a microphone. So
the sound server, where there is one, is asked first which of its sources are none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import samplerate
import sounddevice

from services.audio_sensor.segmenting import RATE
from signals.errors import LigandError

MOST_CHANNELS = 32
BLOCK_S = 0.032
LIST_S = 5.0


class NoDeviceError(LigandError):
    """There is no such device, or it cannot be opened."""

    code = "no_device"


@dataclass(frozen=True, slots=True)
class Form:
    """How a device gives or takes sound."""

    device: str
    rate: int
    channels: int

    @property
    def block(self) -> int:
        """Frames in 32 ms."""
        return round(self.rate * BLOCK_S)


class Mono:
    """Makes 16-bit mono at 16 kHz out of what a device gives; keeps what lies between two blocks."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._resampler = samplerate.Resampler("sinc_fastest", channels=1) if form.rate != RATE else None

    def take(self, block: bytes) -> bytes:
        """`block` is 16-bit samples, interleaved when there are several channels: their mean counts."""
        if self._resampler is None and self._form.channels == 1:
            return block
        samples = np.frombuffer(block, np.int16).reshape(-1, self._form.channels).mean(axis=1, dtype=np.float32)
        if self._resampler is not None:
            samples = self._resampler.process(samples / 32768, RATE / self._form.rate) * 32768
        return bytes(samples.clip(-32768, 32767).round().astype(np.int16).tobytes())


def at_rate(pcm: bytes, rate: int, wanted: int) -> bytes:
    """16-bit mono at `rate`, resampled to `wanted`."""
    if rate == wanted:
        return pcm
    samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768
    found = samplerate.resample(samples, wanted / rate, "sinc_fastest") * 32768
    return bytes(found.clip(-32768, 32767).round().astype(np.int16).tobytes())


def spread(pcm: bytes, rate: int, form: Form) -> bytes:
    """16-bit mono as a device takes it: at its rate, the same on each channel."""
    whole = np.frombuffer(at_rate(pcm, rate, form.rate), np.int16)
    return bytes(np.repeat(whole, form.channels).tobytes())


def open_input(wanted: str) -> tuple[Any, Form]:
    """A stream from the microphone called `wanted` (a part of its name), else the usual one.

    Raises `NoDeviceError`.
    """
    choose_source(wanted)
    return _open("input", wanted, sounddevice.RawInputStream)


def open_output(wanted: str) -> tuple[Any, Form]:
    """The same for a loudspeaker. Raises `NoDeviceError`."""
    if os.environ.get("PULSE_SINK") is None and wanted and (names := _served("sinks")) is not None:
        os.environ["PULSE_SINK"] = _named(wanted, names, "loudspeaker")
    return _open("output", wanted, sounddevice.RawOutputStream)


def choose_source(wanted: str) -> None:
    """Where a sound server runs, have it give a real microphone. Raises `NoDeviceError` when it has none."""
    served = _served("sources")
    if served is None:
        return
    real = [name for name in served if not name.endswith(".monitor")]
    if wanted:
        os.environ["PULSE_SOURCE"] = _named(wanted, served, "microphone")
    elif not real:
        raise NoDeviceError("no microphone was found")
    elif (usual := _pactl("get-default-source").strip()) not in real:
        os.environ["PULSE_SOURCE"] = real[0]
    else:
        os.environ["PULSE_SOURCE"] = usual


def is_gone(form: Form) -> bool:
    """Whether the sound server has this source no more: it would give another one's sound in its place, unasked."""
    served = _served("sources") if os.environ.get("PULSE_SOURCE") == form.device else None
    return served is not None and form.device not in served


def _named(wanted: str, names: list[str], what: str) -> str:
    found = [name for name in names if wanted in name]
    if not found:
        raise NoDeviceError(f"there is no {what} called {wanted!r}; there are: {', '.join(names) or 'none'}")
    return found[0]


def _served(what: str) -> list[str] | None:
    """The names of the sound server's sources or sinks; None where no server answers, or nothing can ask it."""
    said = _pactl("--format=json", "list", what)
    try:
        return [str(one["name"]) for one in orjson.loads(said)] if said else None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


def _pactl(*arguments: str) -> str:
    program = shutil.which("pactl")
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=LIST_S, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout if done.returncode == 0 else ""


def _open(kind: str, wanted: str, stream: Any) -> tuple[Any, Form]:
    served = os.environ.get("PULSE_SOURCE" if kind == "input" else "PULSE_SINK")
    try:
        index = _index(kind, "" if served else wanted)
        found = sounddevice.query_devices(index, kind)
    except (sounddevice.PortAudioError, ValueError) as error:
        what = "microphone" if kind == "input" else "loudspeaker"
        raise NoDeviceError(f"no {what} was found" if not wanted else f"there is no {what} {wanted!r}") from error
    own_rate, most = int(found["default_samplerate"]), min(MOST_CHANNELS, int(found[f"max_{kind}_channels"]))
    forms = [(RATE, 1), (own_rate, 1), (RATE, 2), (own_rate, 2), (own_rate, most)]
    problem = ""
    for rate, channels in dict.fromkeys(forms):
        try:
            opened = stream(
                samplerate=rate,
                channels=channels,
                dtype="int16",
                blocksize=round(rate * BLOCK_S),
                device=index,
                latency="high",
            )
        except sounddevice.PortAudioError as error:
            problem = str(error.args[0])
        else:
            return opened, Form(served or str(found["name"]), rate, channels)
    raise NoDeviceError(f"{found['name']} cannot be opened: {problem}")


def _index(kind: str, wanted: str) -> int | None:
    """The number of the first device with `wanted` in its name; None stands for the usual one."""
    if not wanted:
        return None
    for nth, one in enumerate(sounddevice.query_devices()):
        if wanted in one["name"] and one[f"max_{kind}_channels"]:
            return nth
    raise ValueError(wanted)
