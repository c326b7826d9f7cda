"""Bringing the journal's consumers in line with the manifests: new ones, gone ones, and lanes that changed.

What a consumer had not settled keeps its place where routes change: it moves to the lane that now takes it. The
lines each daemon consumes by are kept in the journal, so that a later start knows what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from services.bus.lanes import Lane
from services.bus.records import Aside
from services.bus.registry import LaneSpec, Registry, Route, routes_of
from services.bus.store import Store
from services.runtime.manifest import Subscription
from signals.catalogue import Catalogue

PAGE = 1000
Bury = Callable[[str, str, str, bytes, Aside], None]


@dataclass(frozen=True, slots=True)
class _Way:
    """Where signals go from now on, and how far each lane had come before."""

    registry: Registry
    cursors: Mapping[str, int]
    now: float


class Registration:
    """Applies a registry to lanes and journal; all of it goes with the next commit."""

    def __init__(self, store: Store, lanes: dict[str, Lane], bury: Bury) -> None:
        self._store = store
        self._lanes = lanes
        self._bury = bury

    def changes(self, registry: Registry) -> set[str]:
        """The daemons whose signals go other ways than the journal remembers."""
        known = {daemon for daemon, _ in self._store.consumers()}
        return {daemon for daemon in known if self._store.meta(f"lines:{daemon}") != _text_of(registry, daemon)}

    def apply(self, registry: Registry, catalogue: Catalogue, head: int, now: float) -> None:
        """Register what is new, move what goes other ways, dead-letter what nobody takes any more."""
        cursors = self._store.cursors()
        asides: dict[str, list[Aside]] = {}
        for consumer, aside in self._store.asides():
            asides.setdefault(consumer, []).append(aside)
        owners = {key: daemon for daemon, key in self._store.consumers()}
        known = set(owners.values())
        changed = self.changes(registry)
        for key in cursors.keys() - self._lanes.keys() - registry.lanes.keys():
            self._lanes[key] = _gone(key, owners[key], cursors[key][0], asides.get(key, []), self._store)
        for key, spec in registry.lanes.items():
            if key in self._lanes:
                self._lanes[key].spec = spec
                continue
            if key not in cursors:
                start = 0 if spec.start == "all" and spec.daemon not in known else head
                cursors[key] = (start, 0.0)
                self._store.register(key, spec.daemon, start)
            self._lanes[key] = Lane(spec, cursors[key][0], asides.get(key, []), self._store)
        for daemon in changed:
            self._reroute(daemon, registry, catalogue, now)
        for daemon in {spec.daemon for spec in registry.lanes.values()} | changed:
            self._remember(daemon, _text_of(registry, daemon))
        for key in self._lanes.keys() - registry.lanes.keys():
            del self._lanes[key]
            self._store.unregister(key)

    def _remember(self, daemon: str, lines: str) -> None:
        if self._store.meta(f"lines:{daemon}") != lines:
            self._store.put_meta(f"lines:{daemon}", lines)

    def _reroute(self, daemon: str, registry: Registry, catalogue: Catalogue, now: float) -> None:
        """Each unsettled signal of a daemon goes to the lane that takes it now."""
        go = _Way(registry, {lane.key: lane.cursor for lane in self._lanes.values()}, now)
        routes = routes_of(daemon, _parsed(self._store.meta(f"lines:{daemon}", "[]")), catalogue)
        lanes = [lane for lane in self._lanes.values() if lane.spec.daemon == daemon]
        for lane in lanes:
            gone = lane.key not in registry.lanes
            for aside in list(lane.asides.values()) if gone else ():
                raw = aside.envelope or self._store.envelope(aside.seq)
                if raw is not None:
                    self._move(lane, aside, raw, go)
            for seq, name, raw in self._unsettled(lane.key, go.cursors[lane.key], routes):
                if gone or registry.lane_of(daemon, name, orjson.loads(raw)["facts"]) not in (lane.key, None):
                    self._move(lane, Aside(seq), raw, go)

    def _move(self, lane: Lane, aside: Aside, raw: bytes, go: _Way) -> None:
        envelope = orjson.loads(raw)
        key = go.registry.lane_of(lane.spec.daemon, envelope["signal"], envelope["facts"])
        if key is None:
            self._bury("undeliverable", f"The consumer {lane.key} is no longer listed.", lane.key, raw, aside)
        elif aside.seq <= go.cursors[key]:
            self._lanes[key].put_off(aside.but(due=max(aside.due, go.now)))

    def _unsettled(self, key: str, after: int, routes: Mapping[str, Route]) -> Iterator[tuple[int, str, bytes]]:
        while routes:
            rows, seen = self._store.page(after, routes, PAGE, 1 << 60)
            for seq, name, raw in rows:
                if routes[name].lane(orjson.loads(raw)["facts"]) == key:
                    yield seq, name, raw
            if len(rows) < PAGE:
                return
            after = seen


def _gone(key: str, daemon: str, cursor: int, asides: list[Aside], store: Store) -> Lane:
    return Lane(LaneSpec(key, daemon, "", 0, frozenset(), "new"), cursor, asides, store)


def _text_of(registry: Registry, daemon: str) -> str:
    manifest = registry.daemons.get(daemon)
    lines: list[Any] = [
        [line.signal, {name: list(values) for name, values in line.where.items()}, line.lane, line.terminal]
        for line in (manifest.consumes if manifest else ())
    ]
    return orjson.dumps(lines).decode()


def _parsed(text: str) -> list[Subscription]:
    return [
        Subscription(signal, {name: tuple(values) for name, values in where.items()}, lane, terminal)
        for signal, where, lane, terminal in orjson.loads(text)
    ]
