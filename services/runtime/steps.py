"""Steps in a daemon's life that may hang: none of them holds up its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from services.runtime.handlers import Function

LAST_S = 8.0
"""So long a last step may take."""
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

    async def last(self, steps: Sequence[Function], until: float, log: Any, bus_is_there: Callable[[], bool]) -> bool:
        """Take last steps, each for a few seconds and to `until` (monotonic) at most; False when one has failed.

        One that takes longer while the bus is away, which it may be waiting for, has not failed.
        """
        well = True
        for step in steps:
            if (fault := await self._last(step, until)) is not None:
                there = bus_is_there()
                log.error("stop_failed", task=name_of(step), error=repr(fault), bus_is_there=there, exc_info=fault)
                well = well and isinstance(fault, TimeoutError) and not there
        return well

    async def _last(self, step: Function, until: float) -> BaseException | None:
        seconds = max(1.0, min(LAST_S, until - time.monotonic()))
        task = asyncio.ensure_future(step())
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return fault_of(task)
        await self.cancel(task)
        raised = task.exception() if task.done() and not task.cancelled() else None
        return raised or TimeoutError(f"It took longer than {seconds:.0f} s and was cut short.")

    async def cancel(self, *tasks: asyncio.Task[Any]) -> None:
        """End tasks, and wait until they have ended if that is soon."""
        self._cancelled += tasks
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=HEED_S)


def name_of(function: Function) -> str:
    """What a function is called, for the log; one made by `functools.partial` has no name."""
    return str(getattr(function, "__name__", function))


def fault_of(task: asyncio.Task[Any]) -> BaseException | None:
    """What ended a task that nobody has cancelled; also where something that it waited for was."""
    try:
        return task.exception()
    except asyncio.CancelledError as error:
        return error
