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
import time
import wave
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from services.audio_sensor.messages import packed
from services.runtime import extras
from tests.support.required import lacking, program
from tests.support.virtual_sound import WAIT_S, Feeder, Loudspeaker

RATE = 16_000
VOICES = ("slt", "rms", "awb")


def engines(*more: str) -> None:
    """Let the test import the packages of the extra, and of `more`; without them it is skipped, or fails in CI."""
    for name in ("audio", *more):
        if (missing := extras.lacking(name)) is not None:
            lacking(f"{missing.reason}: {missing.hint}")
        extras.use(name)


@cache
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
            # without rewinds it takes 50 ms at once, not 2 s: who listens to it need not wait for so long
            "-L", "module-null-sink sink_name=loud rate=16000 channels=1 format=s16le norewinds=1",
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
    def echo(self, gain: float = 0.3, delay_s: float = 0.2) -> Iterator[None]:
        """The microphone hears the loudspeaker too, quieter and later: always by as much, as in a room."""
        feeder = self._feeder
        assert feeder is not None
        loudspeaker = Loudspeaker(self.environ, lambda part: feeder.mix(part, gain, delay_s))
        try:
            yield
        finally:
            loudspeaker.close()
            feeder.still()

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
