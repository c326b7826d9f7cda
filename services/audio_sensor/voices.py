"""What can speak on this machine, and how each is called: a program, the text on its standard input, a WAV file back.

The programs write into memory, never to the disk, and never is there a shell.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from signals.errors import ConfigError, LigandError

Name = Literal["flite", "espeak-ng", "piper"]
SPEAK_S = 60.0
VOICES = frozenset({"slt", "rms", "awb", "kal", "kal16", "awb_time"})
"""The voices of flite, which takes another name for its usual one without a word."""
OUT = "/dev/fd/{}"
SAMPLE = "yes"
"""What every voice can say that can speak at all."""
UNTOLD = {"ORT_DISABLE_TELEMETRY": "1"}
"""ONNX Runtime, which piper and faster-whisper use, tells its maker of its use from 1.29 on; with this it does not."""


class NoVoiceError(LigandError):
    """Nothing on this machine can speak."""

    code = "no_voice"


class UnspeakableError(LigandError):
    """This voice can speak, but it cannot say this text."""

    code = "unspeakable"


@dataclass(frozen=True, slots=True)
class Voice:
    """A program that speaks, and whom it sounds like; `model` is piper's."""

    engine: Name
    program: str
    voice: str = ""
    model: str = ""

    def argv(self, voice: str, out: str) -> list[str]:
        """The command that speaks what it reads into the file `out`."""
        wanted = voice or self.voice
        if self.engine == "flite":
            chosen = wanted if wanted in VOICES else "slt"
            return [self.program, "-voice", chosen, "-f", "/dev/stdin", "-o", out]
        if self.engine == "espeak-ng":
            chosen = wanted if wanted.replace("-", "").replace("_", "").replace("+", "").isalnum() else "en-us"
            return [self.program, "-v", chosen, "--stdin", "-w", out]
        return [self.program, "--model", self.model, "--output_file", out]


def find(engine: str, voice: str, model: str, language: str) -> Voice:
    """The voice that the configuration asks for: with `auto` the first that is there.

    Raises `NoVoiceError` when it is not there, `ConfigError` for a model that is not.
    """
    if engine == "piper":
        return _piper(voice, model)
    usual = voice or language.lower()
    for name in ("flite", "espeak-ng") if engine == "auto" else (engine,):
        program = shutil.which(name)
        if program is not None and not (name == "flite" and engine == "auto" and not language.startswith("en")):
            return Voice("flite" if name == "flite" else "espeak-ng", program, voice if name == "flite" else usual)
    wanted = "neither flite nor espeak-ng is installed" if engine == "auto" else f"{engine} is not installed"
    raise NoVoiceError(wanted)


def _piper(voice: str, model: str) -> Voice:
    program = shutil.which("piper")
    if program is None:
        raise NoVoiceError("piper is not installed")
    file = Path(model)
    missing = [path for path in (file, file.with_name(file.name + ".json")) if not (model and path.is_file())]
    if missing:
        raise ConfigError(f"speaking.model is {model!r}; a voice of piper is a file.onnx with its file.onnx.json.")
    return Voice("piper", program, voice, model)


@dataclass(frozen=True, slots=True)
class Sound:
    """16-bit mono samples at `rate` a second."""

    pcm: bytes
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / self.rate


async def speak(voice: Voice, text: str, wanted: str = "") -> Sound:
    """The text as sound; as `wanted` sounds, unless the program does not know that voice, which may be another one's.

    Raises `NoVoiceError` with what the program said, `UnspeakableError` where it can speak, but not say this.
    """
    try:
        return await _spoken(voice, text, wanted)
    except NoVoiceError as error:
        try:
            await _spoken(voice, SAMPLE, wanted)
        except NoVoiceError:
            if not wanted:
                raise
            return await speak(voice, text)
        raise UnspeakableError(error.message) from error


async def _spoken(voice: Voice, text: str, wanted: str) -> Sound:
    fd = os.memfd_create("speech")
    try:
        process = await asyncio.create_subprocess_exec(
            *voice.argv(wanted, OUT.format(fd)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=[fd],
            env={**os.environ, **UNTOLD},
        )
        said = await _finish(process, f"{text}\n".encode())
        if process.returncode != 0:
            raise NoVoiceError(f"{voice.engine} failed: {said.decode(errors='replace').strip()[-200:]}")
        return _sound(fd, voice.engine)
    except OSError as error:
        raise NoVoiceError(f"{voice.program} cannot be run: {error.strerror}") from error
    finally:
        os.close(fd)


async def _finish(process: asyncio.subprocess.Process, text: bytes) -> bytes:
    try:
        async with asyncio.timeout(SPEAK_S):
            _, said = await process.communicate(text)
            return said
    except TimeoutError as error:
        raise NoVoiceError(f"it took more than {SPEAK_S:g} s to speak") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _sound(fd: int, engine: str) -> Sound:
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        with os.fdopen(os.dup(fd), "rb") as file, wave.open(file) as sound:
            if sound.getsampwidth() != 2 or sound.getnchannels() != 1:
                raise NoVoiceError(f"{engine} gave {sound.getnchannels()} channels of {8 * sound.getsampwidth()} bits")
            return Sound(sound.readframes(sound.getnframes()), sound.getframerate())
    except (wave.Error, EOFError) as error:
        raise NoVoiceError(f"{engine} gave no sound: {error}") from error
