"""One run of the child process: what it tells, line by line, each within its time."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from services.gaze_sensor.cameras import Target
from services.runtime import children, extras

CHILD = Path(__file__).parent / "engine" / "__main__.py"
START_S = 30.0
"""To load the engine on a busy machine."""
MARGIN_S = 5.0
"""Beyond the time in which the child itself notices that the camera hangs."""
END_S = 2.0
QUIET = {
    "GLOG_minloglevel": "2",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "OPENCV_LOG_LEVEL": "ERROR",
    "OPENBLAS_NUM_THREADS": "1",
    # of a stream, the newest frame: nothing is kept back to smooth it, and its form is known at once
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": "fflags;nobuffer|flags;low_delay|analyzeduration;500000|probesize;500000",
}


def command(target: Target) -> list[str]:
    """What starts a child, which then waits for its `order`."""
    return [sys.executable, "-I", "-S", "-B", str(CHILD), str(target.extra)]


def order(target: Target, task: str, **more: Any) -> bytes:
    """What a child is told first (`engine.child`); no argument, since everybody sees those, and a camera's password."""
    paths = {"sources": target.sources, "recogniser": str(extras.folder_of("face"))}
    return orjson.dumps({"task": task, **asdict(target.seeing), **paths, **more}) + b"\n"


def environment() -> dict[str, str]:
    """The environment of a child."""
    return {**os.environ, **QUIET}


class Session:
    """A child that runs."""

    def __init__(self, process: Process, stall_s: float) -> None:
        self._process = process
        self._stall_s = stall_s
        self._seen = False
        self._said: deque[str] = deque(maxlen=1)
        self._listening = asyncio.create_task(self._hear())

    async def next(self) -> dict[str, Any] | None:
        """What it tells next; None when it has ended. Raises `TimeoutError` when it hangs."""
        assert self._process.stdout is not None
        within_s = self._stall_s + MARGIN_S if self._seen else START_S + self._stall_s
        async with asyncio.timeout(within_s):  # `wait_for` of Python 3.11 can forget that it was cancelled
            line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            return None
        told: dict[str, Any] = orjson.loads(line)
        self._seen = self._seen or "t" in told
        return told

    def kill(self) -> None:
        """Do without its goodbye: it hangs."""
        children.kill(self._process)

    async def end(self) -> tuple[int, str]:
        """End it, if it has not ended; its status, and the last line that it said of its own accord."""
        await children.end(self._process, END_S)
        await self._listening
        return self._process.returncode or 0, " ".join(self._said)

    async def _hear(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self._said.append(line.decode(errors="replace").strip()[:200])


@asynccontextmanager
async def session(target: Target) -> AsyncIterator[Session]:
    """Start a child for this camera; it is gone at the end."""
    process = await asyncio.create_subprocess_exec(
        *command(target), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment()
    )
    assert process.stdin is not None
    process.stdin.write(order(target, "look"))
    found = Session(process, target.seeing.stall_s)
    try:
        yield found
    finally:
        await found.end()
