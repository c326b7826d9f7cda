"""Steps in a daemon's life that may hang: none of them holds up its end."""

from __future__ import annotations

import asyncio
from typing import Any


def fault_of(task: asyncio.Task[Any]) -> BaseException | None:
    """What ended a task that nobody has cancelled; also where something that it waited for was."""
    try:
        return task.exception()
    except asyncio.CancelledError as error:
        return error
