"""A sound server of a test's own: a virtual microphone that hears what the test plays, a virtual loudspeaker it hears.

PulseAudio's pipe source, fed at real-time pace, gives bit for bit what is written to it; the feeder is there first and
writes silence in between, for else the source would stand still.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

from services.audio_sensor.messages import packed
from services.runtime import extras
from tests.support.required import lacking, program

RATE = 16_000
CHUNK = 320
WAIT_S = 20.0
VOICES = ("slt", "rms", "awb")


def engines() -> None:
    """Let the test import the extra's packages; without them it is skipped, or fails in CI."""
    if (missing := extras.lacking("audio")) is not None:
        lacking(f"{missing.reason}: {missing.hint}")
    extras.use("audio")


def say(text: str, voice: str = "slt") -> bytes:
    """A text in one of flite's voices: 16-bit mono at 16 kHz."""
    fd = os.memfd_create("speech")
    try:
        command = [program("flite"), "-voice", voice, "-f", "/dev/stdin", "-o", f"/dev/fd/{fd}"]
        subprocess.run(command, input=text.encode(), pass_fds=[fd], check=True, stdout=subprocess.DEVNULL)
        os.lseek(fd, 0, os.SEEK_SET)
        with os.fdopen(os.dup(fd), "rb") as file, wave.open(file) as sound:
            assert sound.getframerate() == RATE
            pcm: bytes = sound.readframes(sound.getnframes())
            return pcm
    finally:
        os.close(fd)


def heard_in(pcm: bytes) -> str:
    """What the recogniser makes of it, in a process of its own: it would keep the microphone's thread from its pace."""
    settings = {"engine": "pocketsphinx", "model": "", "disagreement": 0.7, "commands": "", "commands_file": ""}
    command = [sys.executable, "-m", "services.audio_sensor.child", "recogniser"]
    done = subprocess.run(
        command, input=packed(settings) + packed({"op": "hear"}, pcm), capture_output=True, check=True
    )
    return str(json.loads(done.stdout.splitlines()[-1])["text"])


class Server:
    """PulseAudio without anything of the machine's: `mic` is its microphone, `loud` its loudspeaker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "pulse.sock"
        self.pipe = folder / "mic.pipe"
        (folder / "home").mkdir(mode=0o700)
        self._process: subprocess.Popen[bytes] | None = None
        self._feeder: Feeder | None = None
        self._form = (RATE, 1)

    @property
    def environ(self) -> dict[str, str]:
        """What a program is given to find it."""
        home = str(self.folder / "home")
        return {"PULSE_SERVER": f"unix:{self.socket}", "HOME": home, "PULSE_RUNTIME_PATH": home}

    def start(self) -> None:
        """Start it with a loudspeaker and no microphone."""
        command = [
            program("pulseaudio"), "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--system=false",
            "--disable-shm=yes", "--log-target=stderr",
            "-L", f"module-native-protocol-unix auth-anonymous=1 socket={self.socket}",
            "-L", "module-null-sink sink_name=loud rate=16000 channels=1 format=s16le",
        ]  # fmt: skip
        log = (self.folder / "pulse.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                command, env={**os.environ, **self.environ}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + WAIT_S
        while not self.socket.exists() or self._pactl("info", check=False) == "":
            assert self._process.poll() is None, (self.folder / "pulse.log").read_text()
            assert time.monotonic() < deadline, (self.folder / "pulse.log").read_text()
            time.sleep(0.02)

    def plug_in(self, rate: int = RATE, channels: int = 1) -> None:
        """Add the microphone."""
        self._form = (rate, channels)
        form = f"rate={rate} channels={channels} format=s16le"
        self._pactl("load-module", "module-pipe-source", "source_name=mic", f"file={self.pipe}", *form.split())
        self._feeder = Feeder(self.pipe, rate, channels)

    def unplug(self) -> None:
        """Take the microphone away."""
        self._pactl("unload-module", "module-pipe-source")
        self._end_feeder()

    def hang(self) -> None:
        """Have it answer nobody, and give no sound."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it work again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, as if it had crashed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._end_feeder()
        self.socket.unlink(missing_ok=True)
        self.pipe.unlink(missing_ok=True)

    def speak(self, pcm: bytes) -> None:
        """Have the microphone hear this; returns when it has."""
        assert self._feeder is not None
        self._feeder.play(pcm)

    def listen(self) -> Loudspeaker:
        """Hear what comes out of the loudspeaker from now on."""
        return Loudspeaker(self.environ)

    @contextlib.contextmanager
    def echo(self, gain: float = 0.3, delay_s: float = 0.1) -> Iterator[None]:
        """The microphone hears the loudspeaker too, quieter and later."""
        feeder = self._feeder
        assert feeder is not None
        loudspeaker = Loudspeaker(self.environ, lambda part: feeder.mix(part, gain, delay_s))
        try:
            yield
        finally:
            loudspeaker.close()

    def _end_feeder(self) -> None:
        if self._feeder is not None:
            self._feeder.close()
            self._feeder = None

    def _pactl(self, *arguments: str, check: bool = True) -> str:
        command = [program("pactl"), *arguments]
        done = subprocess.run(
            command, env={**os.environ, **self.environ}, capture_output=True, text=True, check=False, timeout=WAIT_S
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout if done.returncode == 0 else ""


class Feeder:
    """Writes what the microphone hears, at real-time pace, from a thread."""

    def __init__(self, pipe: Path, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._fd = os.open(pipe, os.O_WRONLY)
        self._waiting: list[bytes] = []
        self._echo = bytearray()
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
            if not self._echo:
                self._echo += bytes(2 * round(delay_s * RATE))
            self._echo += quieter

    def _next(self) -> bytes:
        """What is to be heard in the next moment."""
        chunk = self._waiting.pop(0) if self._waiting else bytes(2 * CHUNK)
        if not self._echo:
            return chunk
        echo, self._echo = bytes(self._echo[: 2 * CHUNK]).ljust(2 * CHUNK, b"\0"), self._echo[2 * CHUNK :]
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


@contextlib.contextmanager
def sound_server(folder: Path) -> Iterator[Server]:
    """A started server with a microphone."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder)
    server.start()
    server.plug_in()
    try:
        yield server
    finally:
        server.stop()
