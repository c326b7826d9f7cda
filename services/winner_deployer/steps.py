"""What every act on a deployment shares: the ledger before the act, the bus, and the end when it is told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from services.experiments.files import OpenFile
from services.experiments.model import Experiment
from services.winner_deployer import checks, logic
from services.winner_deployer.changes import Finder, reload_facts
from services.winner_deployer.ledger import Ledger
from services.winner_deployer.logic import FAILED, Deployment
from signals.envelope import rfc3339


class Stopping(Exception):
    """The daemon was told to stop."""


class Bus(Protocol):
    """What a deployment needs of the bus. Both may wait; both may raise `Stopping`."""

    def tell(self, name: str, facts: Mapping[str, Any], key: str, because: str) -> None:
        """Emit, on disk when it returns; the same key is the same signal. `because`: the id of what it follows from."""

    def reload(self, facts: Mapping[str, Any], because: str) -> str:
        """Have a daemon read its configuration again (Q_CONFIGURATION_CHANGED); why it does not use it, or nothing."""


class Steps:
    """Notes steps and has targets reloaded. `acting` is held while a file and what the ledger says of it change."""

    def __init__(self, ledger: Ledger, finder: Finder, bus: Bus, log: Any) -> None:
        self.ledger = ledger
        self.finder = finder
        self.bus = bus
        self.log = log
        self.stop = threading.Event()
        self.acting = threading.Lock()
        self._held: tuple[str, OpenFile] | None = None

    def wait(self, seconds: float) -> None:
        """Let time pass. Raises `Stopping`."""
        if self.stop.wait(seconds):
            raise Stopping

    def note(self, one: Deployment, step: str, **more: Any) -> None:
        """One more line of the ledger. Raises `Stopping`, OSError."""
        if self.stop.is_set() and threading.current_thread() is not threading.main_thread():
            raise Stopping  # from now on the main thread alone acts
        self.ledger.note({"id": one.id, "step": step, "at": rfc3339(time.time()), **more})

    def end_failed(self, one: Deployment, reason: str, detail: str, *, rolled_back: bool = True) -> None:
        """`rolled_back`: whether the file is as it was before."""
        facts = logic.failed(one, reason, detail, rolled_back=rolled_back) | {"target": self.finder.name_of(one)}
        self.note(one, "ended", signal=FAILED, facts=facts)

    def reload(self, one: Deployment, experiment: Experiment, sha256: str) -> str:
        """Have the target read its file; why it does not use it, or nothing."""
        made, command = one.steps["writing"], experiment.target.reload
        if made.get("daemon"):
            return self.bus.reload(reload_facts(made, sha256), one.steps["accepted"]["signal_id"])
        return (checks.fault_of(command, experiment.file.parent, may_leave=True) or "") if command else ""

    @contextmanager
    def holding(self, one: Deployment, file: OpenFile) -> Iterator[None]:
        """The file is open and locked for this deployment, whoever takes it back."""
        self._held = (one.id, file)
        try:
            yield
        finally:
            with self.acting:  # it is closed after this, and not while the other thread uses it
                self._held = None

    def held(self, one: Deployment) -> OpenFile | None:
        """The file, where it is open and locked for this deployment; as long as `acting` is held."""
        return self._held[1] if self._held is not None and self._held[0] == one.id else None
