"""From one investigation to its one outcome: judge, look up, write, say what happened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.capability_integrator import files, logic
from services.capability_integrator.document import Document, RegistryInvalid
from services.capability_integrator.logic import Outcome, Stop
from services.capability_integrator.packages import InitRoots, make_init


class _AlreadyThere(Exception):
    """Another investigation made the entry."""


@dataclass(frozen=True, slots=True)
class Integrator:
    """Writes investigated modules into the registry at `path`."""

    path: Path
    min_confidence: float
    keep_backups: int
    init_roots: InitRoots

    @classmethod
    def of(cls, config: Mapping[str, Any], state_dir: Path) -> Integrator:
        """Build it from a checked configuration; a link to the registry is followed, so that it stays one."""
        named = Path(config["registry"] or "capabilities.yaml")
        path = Path(os.path.realpath(state_dir / named))
        roots = InitRoots.of(config["roots"])
        return cls(path, config["min_confidence"], config["keep_backups"], roots)

    def integrate(self, signal_id: str, timestamp: str, facts: Mapping[str, Any]) -> Outcome:
        """The outcome of one Q_INVESTIGATION_COMPLETE; the same again for the same signal."""
        stop = logic.judge(facts, self.min_confidence)
        if stop is not None:
            return logic.stopped(facts, stop)
        try:
            with files.locked(self.path.parent):
                return self._register(signal_id, timestamp, facts)
        except _AlreadyThere as there:
            return logic.stopped(facts, Stop("already_integrated", str(there)))
        except (RegistryInvalid, files.Busy, OSError) as error:
            return logic.stopped(facts, self._trouble(error))

    def _trouble(self, error: Exception) -> Stop:
        """What went wrong with the files, where, and what to do."""
        if isinstance(error, RegistryInvalid):
            mend = "Mend that line; nothing was overwritten."
            return Stop("registry_invalid", f"{self.path}: {error}. {mend}", failed=True)
        if isinstance(error, OSError):
            what = f"{error.filename or self.path}: {error.strerror or error}"
            return Stop("unwritable", f"{what}. Mend access or free space.", failed=True, retryable=True)
        mend = "Close what writes to it, and investigate again."
        return Stop("registry_busy", f"{error}. {mend}", failed=True, retryable=True)

    def _register(self, signal_id: str, timestamp: str, facts: Mapping[str, Any]) -> Outcome:
        key = facts["module_name"]
        made = enabled = False

        def change(raw: bytes | None) -> bytes | None:
            nonlocal made, enabled
            document = Document(raw or b"")
            entry = document.entry(key)
            if entry is not None and not logic.is_same(entry, signal_id):
                since = entry.get("integrated_at", "a person added it")
                raise _AlreadyThere(f"{key} stands in {self.path} since {since}.")
            made = make_init(facts, signal_id, self.init_roots)
            enabled = entry is not None and entry.get("enabled") is True
            if entry is not None:
                return None
            return document.with_entry(key, logic.entry_of(facts, signal_id, timestamp))

        written = files.update(self.path, change, self.keep_backups)
        digest = hashlib.sha256(written).hexdigest()
        return logic.integrated(facts, logic.Written(str(self.path), digest, enabled, made))
