"""What became of a signal in hand: settled with all that it led to, put off, given back, or given up."""

from __future__ import annotations

import time
from typing import Any

import orjson

from services.bus import headers
from services.bus.access import Peer
from services.bus.admission import Batch, cause_of, named_causes
from services.bus.burying import Burying
from services.bus.emitting import Emitting
from services.bus.journaling import Journaling
from services.bus.lanes import Hand, Lane
from services.bus.sessions import Session
from services.bus.state import State
from signals import wire
from signals.envelope import rfc3339
from signals.errors import LateError, LoopError, NotInHandError, UsageError

STEPS_ASIDE_S = (1.0, 5.0, 30.0, 120.0)
MAX_ATTEMPTS = 5


class Settling:
    """Changes nothing unless the signal is in hand for just this session."""

    def __init__(self, state: State, journaling: Journaling, burying: Burying, emitting: Emitting) -> None:
        self._state = state
        self._journaling = journaling
        self._burying = burying
        self._emitting = emitting
        self._verdicts = {
            wire.NAK: self._failed,
            wire.REJECT: self._rejected,
            wire.UNAVAILABLE: self._unavailable,
            wire.RETURN: self._returned,
        }

    def settle(self, identity: bytes, peer: Peer, request: bytes, header: dict[str, Any], raws: list[bytes]) -> None:
        """`settle`: one signal, one verdict."""
        session = self._state.sessions.need(identity, peer)
        lane, hand = self.in_hand(session, header)
        verdict = header.get("verdict", wire.ACK)
        if verdict == wire.ACK:
            self._acknowledge(session, lane, hand, header, raws)
        elif isinstance(verdict, str) and verdict in self._verdicts:
            self._verdicts[verdict](lane, hand, header)
        else:
            raise UsageError(f"A settle cannot say {str(verdict)[:64]!r}.")
        self._state.touched.add(lane)
        self._state.ok(identity, request, {})

    def in_hand(self, session: Session, header: dict[str, Any]) -> tuple[Lane, Hand]:
        """The lane and signal that a request names. Raises `LateError`, `NotInHandError`."""
        name, seq = headers.place(header)
        lane = session.lanes.get(name)
        hand = lane.in_hand.get(seq) if lane else None
        if lane is None or hand is None:
            raise LateError if self._state.deadlines.is_over(seq) else NotInHandError
        return lane, hand

    def _acknowledge(self, session: Session, lane: Lane, hand: Hand, header: dict[str, Any], raws: list[bytes]) -> None:
        if not raws and "put" not in header:
            lane.settle(hand.seq)
            return
        puts = self._emitting.state_to_put(session, header)
        batch = self.batch(session, hand)
        looped = self._admit_all(raws, batch)
        for raw, error in looped:
            self._burying.refused(raw, batch, error)
        self._journaling.write(batch, puts)
        lane.settle(hand.seq)

    def batch(self, session: Session, hand: Hand) -> Batch:
        """What a handler sends while it handles `hand`."""
        handled = cause_of(orjson.loads(hand.raw), hand.seq)
        return Batch(session.peer, session.daemon, self._emitting.was_delivered_to(session), handled, hand.answers)

    def _admit_all(self, raws: list[bytes], batch: Batch) -> list[tuple[bytes, LoopError]]:
        """Admit what a handler emits. Loops end here: they, and what follows from them, are left out and returned."""
        looped: list[tuple[bytes, LoopError]] = []
        ids: set[str] = set()
        for raw in raws:
            try:
                if ids:
                    _follows_not(raw, ids)
                batch.add(self._emitting.admit(raw, batch))
            except LoopError as error:
                looped.append((raw, error))
                ids.add(orjson.loads(raw)["id"])
            except LateError as error:
                raise LateError(error.message, of="emit") from error  # what was handled is still in hand
        return looped

    def _failed(self, lane: Lane, hand: Hand, header: dict[str, Any]) -> None:
        known = lane.aside_of(hand)
        aside = known.but(
            attempts=known.attempts + 1,
            suspect=0,
            crashes=0,
            generation=known.generation + 1,
            first_failed_at=known.first_failed_at or rfc3339(time.time()),
            error=headers.said(header, "error"),
            traceback=headers.said(header, "traceback") or None,
        )
        if aside.attempts >= MAX_ATTEMPTS:
            self._burying.given_up("attempts_exhausted", aside.error or "", lane.key, hand.raw, aside)
            lane.settle(hand.seq)
        else:
            lane.put_off(aside.but(due=self._state.clock.now() + STEPS_ASIDE_S[aside.attempts - 1]))

    def _rejected(self, lane: Lane, hand: Hand, header: dict[str, Any]) -> None:
        self._burying.given_up("rejected", headers.said(header, "error"), lane.key, hand.raw, lane.aside_of(hand))
        lane.settle(hand.seq)

    def _unavailable(self, lane: Lane, hand: Hand, header: dict[str, Any]) -> None:
        now = self._state.clock.now()
        lane.resume_at = now + headers.retry_in(header)
        known = lane.aside_of(hand)
        lane.put_off(known.but(due=now, errors_before=self._state.head, error=headers.said(header, "error")))

    def _returned(self, lane: Lane, hand: Hand, header: dict[str, Any]) -> None:
        lane.put_off(lane.aside_of(hand).but(due=self._state.clock.now()))


def _follows_not(raw: bytes, ids: set[str]) -> None:
    """Raise `LoopError` when an emit names a looped one as its cause."""
    try:
        envelope = orjson.loads(raw)
    except ValueError:
        return  # admission says what is wrong
    if isinstance(envelope, dict) and ids & set(named_causes(envelope)):
        raise LoopError("It follows from a signal that was refused as a loop.")
