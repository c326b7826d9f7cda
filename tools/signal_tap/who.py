"""Who emits, consumes, asks for and listens to a signal, from the manifests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from services.runtime import config as configuration
from services.runtime.manifest import MAIN, RUNTIME_EMITS, Manifest, Subscription, load_all
from signals.catalogue import Catalogue, Contract
from signals.paths import Paths

BUS = "bus"
PEOPLE = "people"


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of daemons, for one signal. A consumer with conditions says them."""

    emitters: tuple[str, ...]
    consumers: tuple[str, ...]
    askers: tuple[str, ...]
    listeners: tuple[str, ...]


class Who:
    """The enabled daemons of a constellation, and their part in each signal."""

    def __init__(self, manifests: Mapping[str, Manifest], catalogue: Catalogue) -> None:
        self._manifests = manifests
        self._timeouts = {c.expects.timeout for c in catalogue.values() if c.expects}

    @classmethod
    def of(cls, paths: Paths, catalogue: Catalogue) -> Who:
        """As the manifests and the bus's configuration say. Raises `ManifestError`, `ConfigError`."""
        manifests = load_all(paths.manifests)
        config = configuration.load(paths.config_of(BUS), manifests[BUS].config, daemon=BUS)
        enabled = {name: manifest for name, manifest in manifests.items() if name not in config["disable"]}
        return cls(dict(_instances(enabled, config["instances"])), catalogue)

    def roles(self, contract: Contract) -> Roles:
        """Who has to do with signals of this contract."""
        emitters = [name for name, manifest in self._manifests.items() if self._emits(name, manifest, contract.name)]
        if contract.kind == "intent":
            emitters.append(PEOPLE)
        return Roles(
            emitters=tuple(emitters),
            consumers=tuple(
                _told(name, line)
                for name, manifest in self._manifests.items()
                for line in manifest.subscriptions(contract)
            ),
            askers=self._where("asks", contract.name),
            listeners=self._where("listens", contract.name),
        )

    def _emits(self, name: str, manifest: Manifest, signal: str) -> bool:
        if signal in RUNTIME_EMITS:
            return True
        return signal in manifest.may_emit or (name == BUS and signal in self._timeouts)

    def _where(self, role: str, signal: str) -> tuple[str, ...]:
        return tuple(
            name
            for name, manifest in self._manifests.items()
            if any(fnmatchcase(signal, glob) for glob in getattr(manifest, role))
        )


def _instances(manifests: Mapping[str, Manifest], listed: Mapping[str, Any]) -> list[tuple[str, Manifest]]:
    return [session for manifest in manifests.values() for session in manifest.sessions(listed).items()]


def _told(name: str, line: Subscription) -> str:
    consumer = name if line.lane == MAIN else f"{name}.{line.lane}"
    if not line.where:
        return consumer
    where = ", ".join(f"{fact}={'|'.join(map(str, values))}" for fact, values in line.where.items())
    return f"{consumer} ({where})"
