"""The child that plays one text. Ends when it was played, when it is told to (SIGTERM), or when the daemon has gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

import sounddevice

from services.audio_sensor import messages
from services.audio_sensor.devices import NoDeviceError, open_output, spread

LEAD_S, TAIL_S = 0.15, 0.1
"""Silence before and after: a loudspeaker that slept swallows the first sound, a device that closes the last."""


class Mouth:
    """Plays 16-bit mono."""

    def __init__(self) -> None:
        self._cut = False

    def play(self, device: str, pcm: bytes, rate: int) -> int:
        """Open the device, and play when told to go on: a person may hear it from `begun` until `ended` or `cut`."""
        padded = bytes(round(LEAD_S * rate) * 2) + pcm + bytes(round(TAIL_S * rate) * 2)
        try:
            stream, form = open_output(device)
        except NoDeviceError as error:
            return _trouble(error.message)
        sound = spread(padded, rate, form)
        messages.write(sys.stdout.buffer, {"is": "open", "device": form.device})
        if messages.read(sys.stdin.buffer) is None:
            return 0
        threading.Thread(target=_end_with_the_daemon, daemon=True).start()
        try:
            at = self._write(stream, sound, 2 * form.channels * form.block)
        except sounddevice.PortAudioError as error:
            return _trouble(f"{form.device} takes no sound any more: {error.args[0]}")
        held_s = stream.latency if self._cut else 0.0
        played_s = at / (2 * form.channels * form.rate) - LEAD_S - held_s
        said = "cut" if self._cut else "ended"
        messages.write(sys.stdout.buffer, {"is": said, "played_s": max(0.0, min(played_s, len(pcm) / 2 / rate))})
        return 0

    def _write(self, stream: Any, sound: bytes, step: int) -> int:
        """Give the device block by block; how many bytes it took."""
        stream.start()
        for at in range(0, len(sound), step):
            if self._cut:
                stream.abort()
                return at
            stream.write(sound[at : at + step])
            if at == 0:
                messages.write(sys.stdout.buffer, {"is": "begun"})
        stream.stop()  # waits for what the device still holds
        return len(sound)

    def stop(self, *_: Any) -> None:
        """Cut it."""
        self._cut = True


def _trouble(reason: str) -> int:
    messages.write(sys.stdout.buffer, {"is": "trouble", "reason": reason})
    return 1


def _end_with_the_daemon() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main(settings: dict[str, Any]) -> int:
    """Play what comes on standard input, on a `device`."""
    mouth = Mouth()
    signal.signal(signal.SIGTERM, mouth.stop)
    order = messages.read(sys.stdin.buffer)
    if order is None:
        return 0
    return mouth.play(settings["device"], order[1], order[0]["rate"])
