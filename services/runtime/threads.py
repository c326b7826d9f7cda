"""Threads that are all there from their first use on, so that what a process uses stays level."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads(ThreadPoolExecutor):
    """A pool of `count` threads. Its base starts one more whenever none has yet said it is idle, hours later too."""

    def __init__(self, count: int, name: str) -> None:
        super().__init__(count, thread_name_prefix=name)
        self._count = count
        self._begun = False

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
        return super().submit(fn, *args, **kwargs)
