"""Runs a look in a thread that can be given up: whatever hangs in it holds up nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Run(Generic[T]):
    """One run: its end, or that it has none yet."""

    began: float
    done: bool = False
    result: T | None = None
    error: BaseException | None = None
    overdue: bool = False
    _woken: Callable[[], None] = field(default=lambda: None)

    def _ended(self, result: T | None, error: BaseException | None) -> None:
        self.result, self.error, self.done = result, error, True
        self._woken()


def start(name: str, function: Callable[[], T], woken: Callable[[], None]) -> Run[T]:
    """Begin a run; `woken` is called in the event loop when it ends. The thread does not keep the process alive."""
    loop = asyncio.get_running_loop()
    run: Run[T] = Run(loop.time(), _woken=woken)

    def work() -> None:
        result, error = None, None
        try:
            result = function()
        except Exception as found:  # noqa: BLE001 - whatever a check raises is told as an alert about it
            error = found
        try:
            loop.call_soon_threadsafe(run._ended, result, error)
        except RuntimeError:  # the daemon has ended meanwhile: nobody wants the result
            return

    threading.Thread(target=work, name=f"check-{name}", daemon=True).start()
    return run
