"""What this machine has for it, looked at cheaply: the packages of the extra, a sound server, sound cards."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from services.audio_sensor.logic import Trouble
from services.runtime import extras

CARDS = Path("/dev/snd")
LIST_S = 2.0
"""Seconds that a sound server has to name its sources; as long it takes to tell of one that hangs."""


def lacking(*names: str) -> Trouble | None:
    """The first of these extras that is not installed."""
    missing = next(filter(None, map(extras.lacking, names)), None)
    return None if missing is None else Trouble(missing.reason, missing.hint)


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


async def seen() -> tuple[str, ...]:
    """The same, with the sources of the sound server that answers: one may come without any file being made."""
    there, program = sound_at(), shutil.which("pactl")
    if program is None or not any("/" in one for one in there):
        return there
    process = await asyncio.create_subprocess_exec(
        program,
        *("list", "short", "sources"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(LIST_S):
            said, _ = await process.communicate()
    except TimeoutError:
        return there
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return (*there, *(line.split(b"\t")[1].decode() for line in said.splitlines() if b"\t" in line))


def _named(server: str) -> str:
    """A server's socket, another one when it was made anew."""
    try:
        found = os.stat(server)
    except OSError:
        return server
    return f"{server} {found.st_ino} {found.st_ctime_ns}"
