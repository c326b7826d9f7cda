"""The threads that read: always the same few, since each new thread costs memory that is not given back."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Stuck(Exception):
    """A file could not be read to its end, nor given up: a disk or network place hangs. The process must end."""


class Readers:
    """So many threads, which do not keep the process from ending."""

    def __init__(self, count: int) -> None:
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._since: dict[int, float] = {}
        for nth in range(count):
            threading.Thread(target=self._work, args=(nth,), name=f"reader-{nth}", daemon=True).start()

    async def run(self, work: Callable[[], T]) -> T:
        """Do `work` in a thread. A caller that is cancelled leaves it to its end, which nobody hears of."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.put((loop, done, work))
        return await done

    def check(self, limit_s: float) -> None:
        """Raise `Stuck` when one is at the same thing for longer than `limit_s`."""
        now = time.monotonic()
        if any(now - since > limit_s for since in list(self._since.values())):
            raise Stuck(f"Reading took longer than {limit_s:g} s; a disk or network place hangs.")

    def _work(self, nth: int) -> None:
        while True:
            loop, done, work = self._jobs.get()
            self._since[nth] = time.monotonic()
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:  # noqa: BLE001 - it is raised again where it was asked for
                error = raised
            del self._since[nth], work
            try:
                loop.call_soon_threadsafe(_tell, done, result, error)
            except RuntimeError:  # the loop has ended, and with it whoever asked
                return
            del done, result, error


def _tell(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
