"""When Python looks for garbage: seldom among what waits, and by the clock, so that nothing piles up for hours."""

from __future__ import annotations

import asyncio
import gc

THRESHOLDS = (10_000, 20, 20)
"""Rarer than usual: what waits to be handled is not garbage, and walking it again and again takes time."""
EVERY_S = 60.0


def begin() -> None:
    """Contracts and modules stay for good, and are not walked again; what comes from now on is, but seldom."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


async def collect_for_ever() -> None:
    """Collect all of it now and then: a daemon makes too little for the thresholds to be reached within hours."""
    while True:
        await asyncio.sleep(EVERY_S)
        gc.collect()
