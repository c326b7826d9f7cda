"""A check looked at directly, with the time and what is kept in the test's hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from services.advisory_monitor.seen import Check, Look, Reading, Said, Seen
from services.runtime.config import fill, with_common
from services.runtime.manifest import Manifest
from signals.catalogue import Catalogue
from signals.paths import Paths

MANIFEST = Manifest.of("advisory_monitor")
CATALOGUE = Catalogue.load([])


class Looking:
    """One check; what it puts is kept, what it says is held against the contracts. `restart` begins it anew."""

    def __init__(self, name: str, home: Path, **config: Any) -> None:
        schema = with_common(MANIFEST.config)
        self._name, self._home = name, home
        self._config = fill({name: config}, schema, schema)[name]
        self.heard: dict[str, Any] = {}
        self.kept: dict[str, Any] = {}
        self.now = 1_000.0
        self.check: Check
        self.restart()

    def restart(self) -> None:
        module = importlib.import_module(f"services.advisory_monitor.checks.{self._name}")
        self.check = module.make(self._config, Paths.resolve(self._home))

    def look(self, after_s: float = 0.0) -> Seen:
        self.now += after_s
        seen = self.check.look(Look(dict(self.heard), dict(self.kept), self.now, 1_700_000_000 + self.now))
        self.kept |= seen.puts
        self.kept = {key: value for key, value in self.kept.items() if value is not None}
        for said in seen.says:
            CATALOGUE[said.signal].check(dict(said.facts))
        return seen

    def says(self, after_s: float = 0.0) -> list[dict[str, Any]]:
        """The facts of what is said."""
        return [dict(said.facts) for said in self.look(after_s).says]


def facts(says: tuple[Said, ...]) -> list[dict[str, Any]]:
    return [dict(said.facts) for said in says]


def reading(seen: Seen, check: str, subject: str | None = None) -> Reading:
    (found,) = (one for one in seen.readings if one.check == check and subject in (None, one.subject))
    return found
