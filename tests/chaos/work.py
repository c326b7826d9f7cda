"""What is worked on while things are killed: stories of the chain, and intents about modules, until told to stop."""

from __future__ import annotations

import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

from signals.emitter import Emitter
from signals.envelope import Signal
from signals.errors import BusUnreachableError
from tests.support.constellation import Constellation
from tests.support.load import STEPS, drop

INTENT_EVERY_S = 2.0


def modules() -> list[str]:
    """Modules of the standard library that are one file, and so are read quickly."""
    specs = ((name, find_spec(name)) for name in sorted(sys.stdlib_module_names) if not name.startswith("_"))
    places = ((name, Path(str(spec.origin))) for name, spec in specs if spec is not None)
    return [name for name, place in places if place.suffix == ".py" and place.name != "__init__.py"]


class Work(threading.Thread):
    """Emits roots, each until it is acknowledged, and drops intents; `roots` and `asked` say what was given."""

    def __init__(self, home: Constellation, *, intents: bool) -> None:
        super().__init__(name="work")
        self._home, self._intents = home, intents
        self._over = threading.Event()
        self._modules = modules() if intents else []
        self.roots: list[str] = []
        self.asked: list[str] = []

    def run(self) -> None:
        due = 0.0
        with self._home.emitter(timeout_s=1.0) as emitter:
            while not self._over.is_set():
                signal = emitter.signal(STEPS[0], {"n": len(self.roots), "pad": "x" * 200})
                self._emit(emitter, signal)
                self.roots.append(signal.id)
                if self._intents and time.monotonic() >= due:
                    due = time.monotonic() + INTENT_EVERY_S
                    self._ask()
                time.sleep(0.002)

    def _emit(self, emitter: Emitter, signal: Signal) -> None:
        while True:
            try:
                emitter.emit(signal)
                return
            except BusUnreachableError:
                continue

    def _ask(self) -> None:
        nth = len(self.asked)
        module = self._modules[nth % len(self._modules)]
        question_id = f"chaos.{nth}.{module}"
        drop(self._home.paths.intents, module, f"ask{nth}", question_id)
        self.asked.append(question_id)

    def end(self) -> None:
        """Give no more."""
        self._over.set()
        self.join()
