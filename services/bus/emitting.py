"""Emits that are no part of a settle: atomic batches, and live signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from services.bus import headers
from services.bus.access import Peer
from services.bus.admission import Batch
from services.bus.burying import Burying
from services.bus.journaling import Journaling
from services.bus.records import Admitted, Cause
from services.bus.sessions import Session
from services.bus.state import State
from signals import wire
from signals.errors import LigandError, PressureError, UnknownSessionError, UsageError

PRESSURE_RETRY_S = 5.0


class Emitting:
    """Admits what is sent, keeps what is refused, and writes the rest."""

    def __init__(self, state: State, journaling: Journaling, burying: Burying) -> None:
        self._state = state
        self._journaling = journaling
        self._burying = burying

    def emit(self, identity: bytes, peer: Peer, request: bytes, header: dict[str, Any], raws: list[bytes]) -> None:
        """`emit`: all signals of the request, or none."""
        state = self._state
        session = state.sessions.find(identity, peer)
        if session is None and header.get("attached"):
            raise UnknownSessionError
        puts = self.state_to_put(session, header)
        if not raws and not puts:
            raise UsageError("An emit carries at least one signal, or state to keep.")
        batch = Batch(peer, session.daemon if session else None, self.was_delivered_to(session))
        for raw in raws:
            self._admit_or_bury(raw, batch)
        self.check_roots(batch)
        state.ok(identity, request, self._journaling.write(batch, puts))

    def state_to_put(self, session: Session | None, header: dict[str, Any]) -> dict[str, bytes | None]:
        """The small state that a request carries. Raises `UsageError`."""
        found = headers.puts(header)
        if found:
            if session is None:
                raise UsageError("Only an attached daemon can put state.")
            self._state.store.states.check_room(session.daemon, found)
        return found

    def _admit_or_bury(self, raw: bytes, batch: Batch) -> None:
        try:
            batch.add(self.admit(raw, batch))
        except LigandError as error:
            self._burying.refused(raw, batch, error)
            error.fields["nth"] = len(batch.admitted)
            raise

    def admit(self, raw: bytes, batch: Batch) -> Admitted:
        """One signal through every check. Raises a `LigandError`."""
        admitted = self._state.admission.admit(raw, batch)
        if admitted.fresh:
            self._state.deadlines.answers(admitted)
        return admitted

    def check_roots(self, batch: Batch) -> None:
        """Hold what begins a story against pressure and quota; also what follows from nothing that is kept."""
        roots = 0
        for admitted in batch.admitted:
            roots += admitted.fresh and not admitted.causation_source and admitted.contract.delivery == "durable"
        if not roots:
            return
        if self._state.refusing_roots:
            raise PressureError(self._state.refusing_roots, retry_after_s=PRESSURE_RETRY_S)
        self._state.quota.take(batch.admitted[0].source, roots)

    def live(self, identity: bytes, peer: Peer, raws: list[bytes]) -> None:
        """`live`: signals that are told and not kept; nobody waits for an answer."""
        session = self._state.sessions.find(identity, peer)
        if session is None:
            return
        batch = Batch(peer, session.daemon, self.was_delivered_to(session))
        for raw in raws:
            try:
                admitted = self._admit_live(raw, batch)
                self._state.quota.take(f"live {admitted.source}", 1)
            except LigandError as error:
                self._burying.refused(raw, batch, error)
                continue
            if admitted.name == "Q_HEARTBEAT":
                session.health = admitted.facts
            self._state.committed.append(admitted)

    def _admit_live(self, raw: bytes, batch: Batch) -> Admitted:
        admitted = self._state.admission.admit(raw, batch)
        if admitted.contract.delivery != "live":
            raise UsageError(f"{admitted.name} is durable; emit it.")
        return admitted

    def to_listeners(self, admitted: Admitted) -> None:
        """Hand a live signal to the sessions that listen."""
        for session in self._state.sessions:
            if admitted.name in session.listens:
                self._state.send(session.identity, [wire.LIVE, b"", admitted.raw])

    # -- causes --------------------------------------------------------------------------------------

    def was_delivered_to(self, session: Session | None) -> Callable[[Cause, dict[str, Any]], bool]:
        """Whether a signal may be named as a cause; people have read the journal."""
        if session is None:
            return lambda cause, envelope: True
        daemon = session.daemon

        def delivered(cause: Cause, envelope: dict[str, Any]) -> bool:
            key = self._state.registry.lane_of(daemon, cause.name, envelope["facts"])
            if key is not None and self._state.lanes[key].was_delivered(cause.seq):
                return True
            return self._answers_to(daemon, envelope)

        return delivered

    def _answers_to(self, daemon: str, envelope: dict[str, Any]) -> bool:
        """Whether a signal answers a request that `daemon` made."""
        request, catalogue = envelope.get("causation_id"), self._state.catalogue
        for _, raw in self._state.store.by_id(request) if request else ():
            asked = orjson.loads(raw)
            expects = catalogue[asked["signal"]].expects if asked["signal"] in catalogue else None
            if asked["source"] == daemon and expects and envelope["signal"] in (*expects.answers, expects.timeout):
                return True
        return False
