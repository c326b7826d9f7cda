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
TOGETHER = 64
"""Signals in one message at most."""


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
            while lane.suspect_waits(now):
                alone = None if held else self._next(lane, now)
                if alone is None:
                    return False
                if alone:  # else it was worthless by now, and the next one's turn comes
                    self._send(session, alone)
                    session.solo = True
                    return False
        unread = [self._fill(session, lane, now) for lane in session.lanes.values()]
        return any(unread)

    def _fill(self, session: Session, lane: Lane, now: float) -> bool:
        """Hand over as much as the lane has room for; True when more pages are to be read."""
        for _ in range(PAGES_A_TURN):
            self._hand_over_all(session, lane, now)
            if len(lane.in_hand) >= lane.credit or now < lane.resume_at or not lane.wants_reading():
                return False
            lane.read_page(self._state.published, lambda name, raw: self._state.belongs(lane, name, raw))
            self._state.touched.add(lane)
        return True

    def _hand_over_all(self, session: Session, lane: Lane, now: float) -> None:
        """Deliver what the lane has ready, as many signals in a message as the session takes."""
        at_most = TOGETHER if session.many else 1
        waiting: list[tuple[dict[str, Any], bytes]] = []
        while (found := self._next(lane, now)) is not None:
            waiting += found
            if len(waiting) >= at_most:
                self._send(session, waiting)
                waiting = []
        self._send(session, waiting)

    def _send(self, session: Session, given: list[tuple[dict[str, Any], bytes]]) -> None:
        if given:
            headers = [header for header, _ in given]
            header = orjson.dumps(headers if session.many else headers[0])
            self._state.send(session.identity, [wire.DELIVER, b"", header, *(raw for _, raw in given)])

    def _next(self, lane: Lane, now: float) -> list[tuple[dict[str, Any], bytes]] | None:
        """The lane's next signal with its header, nothing when it was worthless by now; None when there is none, or
        no room."""
        state, hand = self._state, lane.take(now)
        if hand is None:
            return None
        over = state.deadlines.is_over(hand.seq)
        state.deadlines.delivered(hand.seq, lane.key, now)
        if over or expired(hand.raw, time.time()):
            state.expired += not over
            lane.settle(hand.seq)
            state.touched.add(lane)
            return []
        aside, raw = hand.aside, hand.raw
        header: dict[str, Any] = {"lane": lane.spec.lane, "seq": hand.seq}
        if aside is not None:
            header |= {"attempt": aside.attempts + 1, "generation": aside.generation, "redelivered": True}
            raw = _replayed(raw) if aside.replayed else raw
        return [(header, raw)]


def _replayed(raw: bytes) -> bytes:
    return orjson.dumps({**orjson.loads(raw), "replayed": True})
