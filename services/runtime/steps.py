"""Steps in a daemon's life that may hang: none of them holds up its end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

HEED_S = 3.0
"""So long a step may take to end once it is cancelled."""


class Steps:
    """Takes steps, each in a task of its own, and ends them."""

    def __init__(self) -> None:
        self._cancelled: list[asyncio.Task[Any]] = []

    @property
    def are_stuck(self) -> bool:
        """Whether one goes on though it was cancelled, so that only ending the process ends it."""
        return any(not task.done() for task in self._cancelled)

    async def unless(self, stop: asyncio.Event, step: Coroutine[Any, Any, None]) -> bool:
        """Take a step; False, and the step cancelled, once `stop` is set before it is done. Raises what it raises."""
        task, stopped = asyncio.ensure_future(step), asyncio.ensure_future(stop.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        was_done = task.done()
        if not was_done:
            await self.cancel(task)
        if task.done() and (was_done or not task.cancelled()):
            task.result()
        return was_done

    async def cancel(self, *tasks: asyncio.Task[Any]) -> None:
        """End tasks, and wait until they have ended if that is soon."""
        self._cancelled += tasks
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=HEED_S)


def fault_of(task: asyncio.Task[Any]) -> BaseException | None:
    """What ended a task that nobody has cancelled; also where something that it waited for was."""
    try:
        return task.exception()
    except asyncio.CancelledError as error:
        return error
