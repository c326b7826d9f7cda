"""The work that a soak gives: stories at a steady rate, and intents dropped as people do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from signals.emitter import Emitter
from tests.support.load import STEPS, drop

MODULES = ("json", "email", "csv", "html", "wave", "sqlite3", "tomllib", "zoneinfo", "logging", "queue", "uuid", "bz2")
PAD = "x" * 200


class Stories(threading.Thread):
    """Roots of the chain, all that is due in one batch; each carries the time at which it was due to leave."""

    def __init__(self, emitter: Callable[[], Emitter], per_s: float) -> None:
        super().__init__(name="stories")
        self._emitter, self._per_s = emitter, per_s
        self._over = threading.Event()
        self._worst_s = 0.0
        self.begun = 0

    def run(self) -> None:
        began = time.monotonic()
        with self._emitter() as emitter:
            while not self._over.wait(0.01):
                due = int((time.monotonic() - began) * self._per_s) - self.begun
                if due > 0:
                    self._emit(emitter, min(due, 100))

    def _emit(self, emitter: Emitter, count: int) -> None:
        asked = time.monotonic()
        at = time.time_ns() // 1000
        facts = [{"n": self.begun + each, "at_us": at, "pad": PAD} for each in range(count)]
        emitter.emit(*(emitter.signal(STEPS[0], each) for each in facts))
        self.begun += count
        self._worst_s = max(self._worst_s, time.monotonic() - asked)

    def worst_s(self) -> float:
        """The longest wait for an acknowledgement since this was last asked, in seconds."""
        found, self._worst_s = self._worst_s, 0.0
        return found

    def end(self) -> None:
        """Emit no more."""
        self._over.set()
        self.join()


class Intents(threading.Thread):
    """Files in the drop folder, each a question of its own about one of a few modules."""

    def __init__(self, folder: Path, per_s: float) -> None:
        super().__init__(name="intents")
        self._folder, self._per_s = folder, per_s
        self._over = threading.Event()
        self.dropped = 0

    def run(self) -> None:
        while not self._over.wait(1 / self._per_s):
            module = MODULES[self.dropped % len(MODULES)]
            drop(self._folder, module, f"ask{self.dropped}", f"soak.{module}.{self.dropped}")
            self.dropped += 1

    def end(self) -> None:
        """Drop no more."""
        self._over.set()
        self.join()
