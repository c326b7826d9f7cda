"""Consumers come and go with their manifests; none is ever made by attaching."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from services.bus.access import Access
from services.bus.burying import Burying
from services.bus.lanes import Lane
from services.bus.records import Aside
from services.bus.registry import Registry
from services.bus.sessions import Session
from services.bus.state import State
from signals.catalogue import Catalogue

PAGE = 500


class Registration:
    """Holds the lanes against the registry."""

    def __init__(self, state: State, burying: Burying) -> None:
        self._state = state
        self._burying = burying

    def take_over(self, catalogue: Catalogue, registry: Registry, access: Access) -> list[Session]:
        """Go on with new contracts, manifests and access rules; the sessions that have no manifest any more."""
        state = self._state
        state.catalogue = state.admission.catalogue = catalogue
        state.access = state.admission.access = access
        state.deadlines.take_over(catalogue)
        self.register(registry)
        for session in state.sessions:
            self._relane(session)
        return [session for session in state.sessions if session.daemon not in registry.daemons]

    def register(self, registry: Registry) -> None:
        """Take the consumers of a registry; those that are gone dead-letter what they had not settled."""
        state = self._state
        cursors = state.store.cursors()
        asides: dict[str, list[Aside]] = {}
        for consumer, aside in state.store.asides():
            asides.setdefault(consumer, []).append(aside)
        for key, spec in registry.lanes.items():
            self._note_names(key, spec.names)
            if key in state.lanes:
                state.lanes[key].spec = spec
                continue
            if key not in cursors:
                cursors[key] = (0 if spec.start == "all" else state.head, 0.0)
                state.store.register(key, spec.daemon, cursors[key][0])
            state.lanes[key] = Lane(spec, cursors[key][0], asides.get(key, []), state.store)
        for key in set(cursors) - registry.lanes.keys():
            self._abandon(key, cursors[key][0], asides.get(key, []))
        state.registry = registry

    def _relane(self, session: Session) -> None:
        for spec in self._state.registry.lanes_of(session.daemon):
            if spec.lane not in session.lanes:
                lane = session.lanes[spec.lane] = self._state.lanes[spec.key]
                lane.credit = spec.in_flight

    def _note_names(self, key: str, names: frozenset[str]) -> None:
        """Remember what a lane consumes, for the day when its manifest is gone."""
        text = orjson.dumps(sorted(names)).decode()
        if self._state.store.meta(f"names:{key}") != text:
            self._state.store.put_meta(f"names:{key}", text)

    def _abandon(self, key: str, cursor: int, asides: list[Aside]) -> None:
        """A consumer that no manifest lists any more: what it had not settled becomes dead letters."""
        lane = self._state.lanes.pop(key, None)
        if lane is not None:
            cursor, asides = lane.cursor, list(lane.asides.values())
        error = f"The consumer {key} is no longer listed."
        for aside in asides:
            raw = aside.envelope or self._state.store.envelope(aside.seq)
            if raw is not None:
                self._burying.given_up("undeliverable", error, key, raw, aside)
        for seq, raw in self._unread_of(key, cursor):
            self._burying.given_up("undeliverable", error, key, raw, Aside(seq))
        self._state.store.unregister(key)

    def _unread_of(self, key: str, cursor: int) -> Iterator[tuple[int, bytes]]:
        names = orjson.loads(self._state.store.meta(f"names:{key}", "[]"))
        while names:
            rows, cursor = self._state.store.page(cursor, names, PAGE, 1 << 60)
            yield from ((seq, raw) for seq, _, raw in rows)
            if len(rows) < PAGE:
                return
