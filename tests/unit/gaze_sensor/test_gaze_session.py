"""What a child tells, line by line; no engine needed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from services.gaze_sensor.session import Session


async def stopped(steps: int) -> bool:
    """Whether who waits for a line stops when told to, so many steps of the event loop after the line has come."""
    out, errors = asyncio.StreamReader(), asyncio.StreamReader()
    errors.feed_eof()
    process: Any = SimpleNamespace(stdout=out, stderr=errors)
    waiting = asyncio.create_task(Session(process, 60.0).next())
    for _ in range(3):
        await asyncio.sleep(0)
    out.feed_data(b'{"t": 1}\n')
    for _ in range(steps):
        await asyncio.sleep(0)
    if not waiting.cancel():
        return True  # it had the line by then
    await asyncio.wait([waiting])
    return waiting.cancelled()


@pytest.mark.parametrize("steps", range(6))
def test_who_is_told_to_stop_when_a_line_comes_stops(steps):
    """The sensor would go on looking after `systemctl stop`, until it is killed, and never take back who attends."""
    assert asyncio.run(stopped(steps))
