"""Requests whose time has passed: settled, taken out of all hands, and told, in one transaction."""

from __future__ import annotations

import orjson

from services.bus.admission import cause_of
from services.bus.burying import Burying
from services.bus.deadlines import timeout_facts
from services.bus.journaling import SOURCE, Journaling
from services.bus.lanes import Lane
from services.bus.records import Deadline
from services.bus.state import State
from signals import wire
from signals.errors import SchemaError
from signals.ids import derive


class Expiry:
    """Emits the time-outs that contracts declare."""

    def __init__(self, state: State, journaling: Journaling, burying: Burying) -> None:
        self._state = state
        self._journaling = journaling
        self._burying = burying

    def pass_time(self) -> None:
        """Time out every request that is due."""
        now = self._state.clock.now()
        for deadline in self._state.deadlines.passed(now, self._state.is_paused):
            self._time_out(deadline)

    def give_up(self, upto: int) -> None:
        """Time out the requests to `upto`, which are about to be forgotten, that were never given to anybody."""
        for deadline in self._state.deadlines.upto(upto):
            self._time_out(deadline)

    def _time_out(self, deadline: Deadline) -> None:
        state, raw = self._state, self._state.store.envelope(deadline.seq)
        state.deadlines.timed_out(deadline)
        if raw is None:
            return
        request = orjson.loads(raw)
        for key in state.registry.lanes_for(request["signal"], request["facts"]):
            self._take_away(state.lanes[key], deadline.seq)
        try:
            name, facts = timeout_facts(request, state.catalogue, in_queue=deadline.delivered is None)
            timeout_id = derive(deadline.id, SOURCE, deadline.seq, name, 0)
            self._journaling.own(name, facts, [cause_of(request, deadline.seq)], timeout_id)
        except SchemaError as error:  # contracts have changed since the request
            self._burying.timeout_lost(request, raw, error)

    def _take_away(self, lane: Lane, seq: int) -> None:
        session = self._state.sessions.of(lane.spec.daemon)
        if seq in lane.in_hand and session is not None:
            self._state.push(session.identity, wire.CANCEL, {"lane": lane.spec.lane, "seq": seq})
        if seq in lane.in_hand or seq in lane.asides:
            lane.settle(seq)
            self._state.touched.add(lane)

    def next_in(self) -> float | None:
        """Seconds until something is due by itself; None when nothing is."""
        state = self._state
        now = state.clock.now()
        dues = [due for lane in state.lanes.values() if lane.credit and (due := lane.next_due()) and due > now]
        end = state.deadlines.next_end()
        if end is not None:
            dues.append(end)
        return max(0.0, min(dues) - now) if dues else None
