"""Hands out what waits: in order, within credit, urgent lanes apart, suspects alone."""

from __future__ import annotations

import time
from typing import Any

import orjson

from services.bus.admission import expired
from services.bus.lanes import Lane
from services.bus.sessions import Session
from services.bus.state import State
from signals import wire

PAGES_A_TURN = 8


class Delivering:
    """Gives each session what its lanes have room for."""

    def __init__(self, state: State) -> None:
        self._state = state

    def deliver(self) -> bool:
        """Hand out what waits. True when the journal must be read on at once."""
        now = self._state.clock.now()
        more = False
        for session in self._state.sessions:
            if not (session.stopping or session.lost) and not self._state.is_paused(session.daemon):
                more |= self._deliver_to(session, now)
        return more

    def _deliver_to(self, session: Session, now: float) -> bool:
        held = session.in_hand()
        if session.solo and held:
            return False
        session.solo = False
        for lane in session.lanes.values():
            if lane.suspect_waits(now):
                if not held:
                    session.solo = self._hand_over(session, lane, now)
                return False
        unread = [self._fill(session, lane, now) for lane in session.lanes.values()]
        return any(unread)

    def _fill(self, session: Session, lane: Lane, now: float) -> bool:
        """Hand over as much as the lane has room for; True when more pages are to be read."""
        for _ in range(PAGES_A_TURN):
            while self._hand_over(session, lane, now):
                pass
            if len(lane.in_hand) >= lane.credit or now < lane.resume_at or not lane.wants_reading():
                return False
            lane.read_page(self._state.published, lambda name, raw: self._state.belongs(lane, name, raw))
            self._state.touched.add(lane)
        return True

    def _hand_over(self, session: Session, lane: Lane, now: float) -> bool:
        """Deliver the lane's next signal; False when there is none or no room."""
        state, hand = self._state, lane.take(now)
        if hand is None:
            return False
        over = state.deadlines.is_over(hand.seq)
        state.deadlines.delivered(hand.seq, lane.key, now)
        if over or expired(hand.raw, time.time()):
            state.expired += not over
            lane.settle(hand.seq)
            state.touched.add(lane)
            return True
        aside, raw = hand.aside, hand.raw
        header: dict[str, Any] = {"lane": lane.spec.lane, "seq": hand.seq}
        if aside is not None:
            header |= {"attempt": aside.attempts + 1, "generation": aside.generation, "redelivered": True}
            raw = _replayed(raw) if aside.replayed else raw
        state.send(session.identity, [wire.DELIVER, b"", orjson.dumps(header), raw])
        return True


def _replayed(raw: bytes) -> bytes:
    return orjson.dumps({**orjson.loads(raw), "replayed": True})
