"""The child that plays one text. Ends when it was played, when it is told to (SIGTERM), or when the daemon has gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

import orjson
import sounddevice

from services.audio_sensor import messages
from services.audio_sensor.devices import NoDeviceError, open_output, spread

LEAD_S, TAIL_S = 0.15, 0.1
"""Silence before and after: a loudspeaker that slept swallows the first sound, a device that closes the last."""


class Mouth:
    """Plays 16-bit mono."""

    def __init__(self) -> None:
        self._sound = memoryview(b"")
        self._at = 0
        self._begun = threading.Event()
        self._over = threading.Event()
        self._cut = False

    def play(self, device: str, pcm: bytes, rate: int) -> int:
        """Open the device, and play when told to go on: a person may hear it from `begun` until `ended` or `cut`."""
        padded = bytes(round(LEAD_S * rate) * 2) + pcm + bytes(round(TAIL_S * rate) * 2)
        try:
            stream, form = open_output(device, self._block)
        except NoDeviceError as error:
            messages.write(sys.stdout.buffer, {"is": "trouble", "reason": error.message})
            return 1
        self._sound = memoryview(spread(padded, rate, form))
        messages.write(sys.stdout.buffer, {"is": "open", "device": form.device})
        if messages.read(sys.stdin.buffer) is None:
            return 0
        threading.Thread(target=_end_with_the_daemon, daemon=True).start()
        bytes_per_s = 2 * form.rate * form.channels
        stream.start()
        threading.Thread(target=self._tell_begun, daemon=True).start()
        while not self._over.wait(0.25) and stream.active:
            pass
        whole = not self._cut and self._at >= len(self._sound)
        if whole:
            stream.stop()  # waits for what the device still holds
        played_s = max(0.0, min(self._at / bytes_per_s - LEAD_S, len(pcm) / 2 / rate))
        said = "ended" if whole else "cut" if self._cut else "trouble"
        reason = {} if said != "trouble" else {"reason": f"{form.device} takes no sound any more"}
        messages.write(sys.stdout.buffer, {"is": said, "played_s": played_s, **reason})
        return 0

    def _tell_begun(self) -> None:
        self._begun.wait()
        messages.write(sys.stdout.buffer, {"is": "begun"})

    def _block(self, block: Any, _frames: int, _time: Any, _status: Any) -> None:
        """PortAudio's callback."""
        self._begun.set()
        part = self._sound[self._at : self._at + len(block)]
        block[: len(part)] = part
        block[len(part) :] = bytes(len(block) - len(part))
        self._at += len(part)
        if self._at >= len(self._sound):
            self._over.set()
            raise sounddevice.CallbackStop

    def stop(self, *_: Any) -> None:
        """Cut it."""
        self._cut = True
        self._over.set()


def _end_with_the_daemon() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main(device: str) -> int:
    """Play what comes on standard input."""
    mouth = Mouth()
    signal.signal(signal.SIGTERM, mouth.stop)
    order = messages.read(sys.stdin.buffer)
    if order is None:
        return 0
    return mouth.play(device, order[1], order[0]["rate"])


if __name__ == "__main__":
    code = main(orjson.loads(sys.argv[1])["device"])
    sys.stdout.buffer.flush()
    os._exit(code)  # PortAudio's threads may hang in a sound server that has gone
