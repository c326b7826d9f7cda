"""What a virtual microphone is fed, and what a virtual loudspeaker gives; see `sound`."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from services.audio_sensor.segmenting import RATE
from tests.support.required import program

CHUNK = 320
WAIT_S = 60.0


class Feeder:
    """Writes what the microphone hears, at real-time pace, from a thread."""

    def __init__(self, pipe: Path, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._fd = os.open(pipe, os.O_WRONLY)
        self._waiting: list[bytes] = []
        self._echo = bytearray()
        self._echoes = False
        self._missed = 0
        """Bytes of the echo that came too late to be heard, so that what follows is heard in its own time."""
        self._changed = threading.Condition()
        self._end = False
        self._thread = threading.Thread(target=self._run, name="microphone")
        self._thread.start()

    def play(self, pcm: bytes) -> None:
        with self._changed:
            self._waiting += [pcm[at : at + 2 * CHUNK].ljust(2 * CHUNK, b"\0") for at in range(0, len(pcm), 2 * CHUNK)]
            assert self._changed.wait_for(lambda: not self._waiting or self._end, len(pcm) / 2 / RATE + WAIT_S)

    def mix(self, part: bytes, gain: float, delay_s: float) -> None:
        """More of what the loudspeaker plays, to be heard beside what a person says."""
        import numpy as np  # noqa: PLC0415 - only with the extra

        quieter = (np.frombuffer(part[: len(part) // 2 * 2], np.int16) * gain).astype(np.int16).tobytes()
        with self._changed:
            if not self._echoes:
                self._echo += bytes(2 * round(delay_s * RATE))
                self._echoes = True
            late = min(self._missed, len(quieter))
            self._missed -= late
            self._echo += quieter[late:]

    def still(self) -> None:
        """The loudspeaker is not heard any more."""
        with self._changed:
            self._echo.clear()
            self._echoes, self._missed = False, 0

    def _next(self) -> bytes:
        """What is to be heard in the next moment."""
        chunk = self._waiting.pop(0) if self._waiting else bytes(2 * CHUNK)
        if not self._echoes:
            return chunk
        found, self._echo = bytes(self._echo[: 2 * CHUNK]), self._echo[2 * CHUNK :]
        self._missed += 2 * CHUNK - len(found)
        echo = found.ljust(2 * CHUNK, b"\0")
        import numpy as np  # noqa: PLC0415 - only with the extra

        both = np.frombuffer(chunk, np.int16).astype(np.int32) + np.frombuffer(echo, np.int16)
        return bytes(both.clip(-32768, 32767).astype(np.int16).tobytes())

    def close(self) -> None:
        with self._changed:
            self._end = True
            self._changed.notify_all()
        self._thread.join()
        os.close(self._fd)

    def _run(self) -> None:
        began, fed = time.monotonic(), 0
        while not self._end:
            with self._changed:
                chunk = self._next()
                self._changed.notify_all()
            try:
                os.write(self._fd, self._formed(chunk))
            except BrokenPipeError:
                return
            fed += CHUNK
            late = time.monotonic() - began - fed / RATE
            if late < 0:
                time.sleep(-late)

    def _formed(self, chunk: bytes) -> bytes:
        """At the microphone's own rate and channels: each sample repeated, which is sound enough for a test."""
        if (self._rate, self._channels) == (RATE, 1):
            return chunk
        import numpy as np  # noqa: PLC0415 - only with the extra

        samples = np.frombuffer(chunk, np.int16)
        count = len(samples) * self._rate // RATE
        there = np.interp(np.arange(count) * RATE / self._rate, np.arange(len(samples)), samples).astype(np.int16)
        return bytes(np.repeat(there, self._channels).tobytes())


class Loudspeaker:
    """Records what is played, from a thread."""

    def __init__(self, environ: dict[str, str], heard: Callable[[bytes], None] = lambda _: None) -> None:
        self._tell = heard
        command = [program("parec"), "--device=loud.monitor", "--rate=16000", "--channels=1", "--format=s16le", "--raw"]
        command.append("--latency-msec=20")
        self._process = subprocess.Popen(command, env={**os.environ, **environ}, stdout=subprocess.PIPE)
        self._heard = bytearray()
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loudspeaker")
        self._thread.start()
        assert self._first.wait(WAIT_S)

    @property
    def heard(self) -> bytes:
        return bytes(self._heard)

    def until_sound(self, seconds: float = 0.2, timeout_s: float = WAIT_S) -> None:
        """Wait until something was heard for so long."""
        deadline = time.monotonic() + timeout_s
        while self.loud_s() < seconds:
            assert time.monotonic() < deadline, "nothing is heard"
            time.sleep(0.02)

    def loud_s(self) -> float:
        """Seconds that were no silence."""
        heard = self.heard
        frames = (heard[at : at + 640] for at in range(0, len(heard), 640))
        return sum(0.02 for frame in frames if max(frame, default=0) > 0)

    def close(self) -> bytes:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self.heard

    def _run(self) -> None:
        assert self._process.stdout is not None
        while part := self._process.stdout.read1(4096):  # type: ignore[attr-defined]
            self._heard += part
            self._tell(part)
            self._first.set()
