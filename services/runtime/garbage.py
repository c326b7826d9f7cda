"""When memory is given back: seldom among what waits, and by the clock, so that nothing piles up for hours."""

from __future__ import annotations

import asyncio
import ctypes
import gc

THRESHOLDS = (10_000, 20, 20)
"""Rarer than usual: what waits to be handled is not garbage, and walking it again and again takes time."""
EVERY_S = 60.0
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Of glibc (malloc_trim(3)): gives back free pages in the midst of its heaps, which it keeps otherwise."""


def begin() -> None:
    """Contracts and modules stay for good, and are not walked again; what comes from now on is, but seldom."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def collect() -> None:
    """Free what only holds on to itself, and give free memory back to the system."""
    gc.collect()
    if _trim is not None:
        _trim(0)


async def collect_for_ever() -> None:
    """Collect now and then: a daemon makes too little for the thresholds to be reached within hours."""
    while True:
        await asyncio.sleep(EVERY_S)
        collect()
