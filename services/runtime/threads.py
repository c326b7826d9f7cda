"""Threads that are all there from their first use on, so that what a process uses stays level."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

END_S = 4.0
P = ParamSpec("P")
T = TypeVar("T")


class Threads(ThreadPoolExecutor):
    """A pool of `count` threads. Its base starts one more whenever none has yet said it is idle, hours later too."""

    def __init__(self, count: int, name: str) -> None:
        super().__init__(count, thread_name_prefix=name)
        self._count = count
        self._begun = False
        self._given: set[Future[Any]] = set()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have `fn` called in a thread. Raises RuntimeError once the pool was shut down."""
        if not self._begun:
            self._begun = True
            together = threading.Barrier(self._count)
            try:
                for _ in range(self._count):
                    super().submit(together.wait)
            except RuntimeError:  # the system gives no more threads: those that are there go on
                together.abort()
                raise
        future = super().submit(fn, *args, **kwargs)
        self._given.add(future)
        future.add_done_callback(self._given.discard)
        return future

    async def end(self, until: float) -> bool:
        """Whether all that was given to it is done within a few seconds, and by `until` (monotonic)."""
        rest = asyncio.gather(*map(asyncio.wrap_future, self._given.copy()), return_exceptions=True)
        await asyncio.wait({rest}, timeout=min(END_S, until - time.monotonic()))
        return rest.done()
