"""Who consumes what: the consumers of every enabled manifest, and the lane each signal goes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.runtime.manifest import MAIN, Manifest, Subscription, subscriptions
from signals.catalogue import Catalogue
from signals.errors import ManifestError


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """One consumer with a cursor: a daemon's main lane (`daemon`) or another one (`daemon.lane`)."""

    key: str
    daemon: str
    lane: str
    in_flight: int
    names: frozenset[str]
    start: str


@dataclass(frozen=True, slots=True)
class Route:
    """One daemon's interest in one signal: the first line that matches the facts names the lane."""

    daemon: str
    lines: tuple[tuple[Subscription, str], ...]

    def lane(self, facts: Mapping[str, Any]) -> str | None:
        """The lane that gets a signal with these facts, if any."""
        for line, lane in self.lines:
            if not line.where or line.matches(facts):
                return lane
        return None


@dataclass(frozen=True, slots=True)
class Registry:
    """The enabled daemons by session name (`daemon` or `daemon@instance`), their lanes and routes."""

    daemons: Mapping[str, Manifest]
    lanes: Mapping[str, LaneSpec]
    routes: Mapping[str, tuple[Route, ...]] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        manifests: Iterable[Manifest],
        catalogue: Catalogue,
        disabled: Iterable[str] = (),
        instances: Mapping[str, Iterable[str]] | None = None,
    ) -> Registry:
        """The registry of every manifest that is not disabled. Raises `ManifestError`."""
        daemons = _sessions(manifests, frozenset(disabled), instances or {})
        lanes: dict[str, LaneSpec] = {}
        routes: dict[str, list[Route]] = {}
        for name, manifest in daemons.items():
            manifest.check(catalogue)
            fed: dict[str, set[str]] = {lane: set() for lane in manifest.lanes}
            for signal, route in routes_of(name, manifest.consumes, catalogue).items():
                routes.setdefault(signal, []).append(route)
                for line, _ in route.lines:
                    fed[line.lane].add(signal)
            for lane, names in fed.items():
                if names:
                    key = lane_key(name, lane)
                    lanes[key] = LaneSpec(key, name, lane, manifest.lanes[lane], frozenset(names), manifest.start)
        return cls(daemons, lanes, {name: tuple(found) for name, found in routes.items()})

    def lanes_for(self, signal: str, facts: Mapping[str, Any]) -> list[str]:
        """The keys of the lanes that a signal goes to: one at most for each daemon."""
        return [lane for route in self.routes.get(signal, ()) if (lane := route.lane(facts)) is not None]

    def lane_of(self, daemon: str, signal: str, facts: Mapping[str, Any]) -> str | None:
        """The lane in which `daemon` gets a signal, if it does."""
        for route in self.routes.get(signal, ()):
            if route.daemon == daemon:
                return route.lane(facts)
        return None

    def needs_facts(self, signal: str) -> bool:
        """Whether the facts of a signal decide where it goes."""
        return any(line.where for route in self.routes.get(signal, ()) for line, _ in route.lines)

    def lanes_of(self, daemon: str) -> list[LaneSpec]:
        """The lanes of one session."""
        return [spec for spec in self.lanes.values() if spec.daemon == daemon]


def routes_of(daemon: str, lines: Iterable[Subscription], catalogue: Catalogue) -> dict[str, Route]:
    """Each signal that these lines of a daemon's mean, and the way it goes."""
    found = {}
    for contract in catalogue.values():
        ways = tuple((line, lane_key(daemon, line.lane)) for line in subscriptions(lines, contract))
        if ways:
            found[contract.name] = Route(daemon, ways)
    return found


def lane_key(daemon: str, lane: str) -> str:
    """The name of a lane as a consumer."""
    return daemon if lane == MAIN else f"{daemon}.{lane}"


def _sessions(
    manifests: Iterable[Manifest], disabled: frozenset[str], instances: Mapping[str, Iterable[str]]
) -> dict[str, Manifest]:
    found: dict[str, Manifest] = {}
    known = set()
    for manifest in manifests:
        known.add(manifest.daemon)
        if manifest.daemon not in disabled:
            found |= manifest.sessions(instances)
    for name in (*disabled, *instances):
        if name not in known:
            raise ManifestError(f"The bus's configuration names the daemon {name!r}, which has no manifest.")
    return found
