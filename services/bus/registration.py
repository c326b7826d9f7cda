"""Bringing the journal's consumers in line with the manifests: new ones, gone ones, and lanes that changed.

What a consumer had not settled keeps its place where routes change: it moves to the lane that now takes it. The
lines each daemon consumes by are kept in the journal, so that a later start knows what they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from services.bus.access import Access
from services.bus.burying import Burying
from services.bus.lanes import Lane
from services.bus.records import Aside
from services.bus.registry import LaneSpec, Registry, Route, routes_of
from services.bus.state import State
from services.runtime.manifest import Subscription
from signals.catalogue import Catalogue

PAGE = 1000


class Registration:
    """Holds lanes and journal against a registry; all of it goes with the next commit."""

    def __init__(self, state: State, burying: Burying) -> None:
        self._state = state
        self._burying = burying

    def take_over(self, catalogue: Catalogue, registry: Registry, access: Access) -> None:
        """Go on with new contracts, manifests and access rules. The sessions of `changes` have ended before."""
        state = self._state
        state.catalogue = state.admission.catalogue = catalogue
        state.access = state.admission.access = access
        state.deadlines.take_over(catalogue)
        self.register(registry)
        for session in state.sessions:
            session.listens = frozenset(registry.daemons[session.daemon].listens)

    def changes(self, registry: Registry) -> set[str]:
        """The daemons whose signals go other ways than the journal remembers."""
        store = self._state.store
        known = {daemon for daemon, _ in store.consumers()}
        changed = {daemon for daemon in known if store.meta(f"lines:{daemon}") != _text_of(registry, daemon)}
        return changed | {session.daemon for session in self._state.sessions} - registry.daemons.keys()

    def register(self, registry: Registry) -> None:
        """Register what is new, move what goes other ways, dead-letter what nobody takes any more."""
        state = self._state
        state.registry = registry
        changed = self.changes(registry)
        self._make_lanes(registry)
        for daemon in changed:
            self._reroute(daemon)
        for daemon in {spec.daemon for spec in registry.lanes.values()} | changed:
            self._remember(daemon, _text_of(registry, daemon))
        for key in state.lanes.keys() - registry.lanes.keys():
            daemon = state.lanes.pop(key).spec.daemon
            state.store.unregister(key)
            state.store.put_meta(_left(daemon), state.head)  # all up to here is settled, should it come back

    def _make_lanes(self, registry: Registry) -> None:
        """A lane for each consumer of the registry, and for each that the journal still has."""
        state, cursors = self._state, self._state.store.cursors()
        owners = {key: daemon for daemon, key in state.store.consumers()}
        asides: dict[str, list[Aside]] = {}
        for consumer, aside in state.store.asides():
            asides.setdefault(consumer, []).append(aside)
        gone = {key: LaneSpec(key, owners[key], "", 0, frozenset(), "new") for key in cursors}
        for key, spec in {**gone, **registry.lanes}.items():
            if key in state.lanes:
                state.lanes[key].spec = spec
                continue
            if key not in cursors:
                is_new = spec.daemon not in owners.values()
                start = state.store.meta(_left(spec.daemon), 0) if spec.start == "all" and is_new else state.head
                cursors[key] = (start, 0.0)
                state.store.register(key, spec.daemon, start)
            state.lanes[key] = Lane(spec, cursors[key][0], asides.get(key, []), state.store)

    def _remember(self, daemon: str, lines: str) -> None:
        if self._state.store.meta(f"lines:{daemon}") != lines:
            self._state.store.put_meta(f"lines:{daemon}", lines)

    def _reroute(self, daemon: str) -> None:
        """Each unsettled signal of a daemon goes to the lane that takes it now."""
        state = self._state
        cursors = {key: lane.cursor for key, lane in state.lanes.items()}
        routes = routes_of(daemon, _parsed(state.store.meta(f"lines:{daemon}", "[]")), state.catalogue)
        for lane in [lane for lane in state.lanes.values() if lane.spec.daemon == daemon]:
            gone = lane.key not in state.registry.lanes
            for aside in list(lane.asides.values()) if gone else ():
                raw = aside.envelope or state.store.envelope(aside.seq)
                if raw is not None:
                    self._move(lane, aside, raw, cursors)
            for seq, name, raw in self._unsettled(lane.key, cursors[lane.key], routes):
                if gone or state.registry.lane_of(daemon, name, orjson.loads(raw)["facts"]) not in (lane.key, None):
                    self._move(lane, Aside(seq), raw, cursors)

    def _move(self, lane: Lane, aside: Aside, raw: bytes, cursors: Mapping[str, int]) -> None:
        """To the lane that takes it: aside, where that has read on already, else it will come across it."""
        envelope = orjson.loads(raw)
        key = self._state.registry.lane_of(lane.spec.daemon, envelope["signal"], envelope["facts"])
        if key is None:
            error = f"The consumer {lane.key} is no longer listed."
            self._burying.given_up("undeliverable", error, lane.key, raw, aside)
        elif aside.seq <= cursors[key]:
            self._state.lanes[key].put_off(aside.but(due=max(aside.due, self._state.clock.now())))

    def _unsettled(self, key: str, after: int, routes: Mapping[str, Route]) -> Iterator[tuple[int, str, bytes]]:
        while routes:
            rows, seen = self._state.store.page(after, routes, PAGE, 1 << 60)
            for seq, name, raw in rows:
                if routes[name].lane(orjson.loads(raw)["facts"]) == key:
                    yield seq, name, raw
            if len(rows) < PAGE:
                return
            after = seen


def _left(daemon: str) -> str:
    return f"left:{daemon}"


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
