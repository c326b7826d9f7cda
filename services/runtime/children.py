"""Ending a child process that ends by itself when nobody speaks to it any more."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from contextlib import suppress


async def end(process: Process, within_s: float) -> None:
    """Close its standard input and wait until it has ended; killed when that takes longer."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(within_s):
            await process.wait()
    except TimeoutError:
        kill(process)
        await process.wait()


def kill(process: Process) -> None:
    """Kill it, if it has not ended."""
    with suppress(ProcessLookupError):
        process.kill()
