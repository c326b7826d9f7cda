"""Requests made by a handler, and their answers: from the journal, or when they commit."""

from __future__ import annotations

from typing import Any

import orjson

from services.bus.access import Peer
from services.bus.admission import Batch, cause_of
from services.bus.burying import Burying
from services.bus.emitting import Emitting
from services.bus.journaling import Journaling
from services.bus.records import Admitted
from services.bus.settling import Settling
from services.bus.state import State, Waiter
from signals import wire
from signals.errors import ConflictError, LigandError, UsageError


class Asking:
    """A request is journaled at once under an id that a repeated handler derives again."""

    def __init__(
        self, state: State, journaling: Journaling, burying: Burying, emitting: Emitting, settling: Settling
    ) -> None:
        self._state = state
        self._journaling = journaling
        self._burying = burying
        self._emitting = emitting
        self._settling = settling

    def ask(self, identity: bytes, peer: Peer, request: bytes, header: dict[str, Any], raws: list[bytes]) -> None:
        """`ask`: one request; its answer is pushed. Refused as `conflict` where it must be asked anew."""
        state = self._state
        session = state.sessions.need(identity, peer)
        lane, hand = self._settling.in_hand(session, header)
        if len(raws) != 1:
            raise UsageError("An ask carries one request.")
        asked = self._admit(raws[0], self._settling.batch(session, hand))
        answers = _answers(asked)
        found = None if asked.fresh else self._recorded(asked, answers)
        if found is not None and self._is_old_failure(found, lane.aside_of(hand).errors_before):
            raise ConflictError("The answer on record is a failure from before; ask anew.", stale=True)
        if asked.fresh:
            self._journaling.journal(asked)
        state.ok(identity, request, {"seq": asked.seq, "id": asked.id})
        if found is None:
            state.waiters[asked.id, asked.source] = Waiter(session, lane, hand.seq, answers)
        else:
            hand.answers.append(cause_of(orjson.loads(found[1]), found[0]))
            state.push(identity, wire.ANSWER, {"id": asked.id}, found[1])

    def _admit(self, raw: bytes, batch: Batch) -> Admitted:
        try:
            return self._emitting.admit(raw, batch)
        except ConflictError:
            raise  # the handler asks something else now, which is no fault
        except LigandError as error:
            self._burying.refused(raw, batch, error)
            raise

    def _recorded(self, asked: Admitted, answers: frozenset[str]) -> tuple[int, bytes] | None:
        for seq, raw in self._state.store.caused_by(asked.correlation_id, asked.id):
            if orjson.loads(raw)["signal"] in answers:
                return seq, raw
        return None

    def _is_old_failure(self, found: tuple[int, bytes], errors_before: int) -> bool:
        seq, raw = found
        return seq <= errors_before and self._state.catalogue[orjson.loads(raw)["signal"]].kind == "error"

    def answered(self, admitted: Admitted) -> None:
        """A signal was committed: hand it to the handler that waits for it, if one does."""
        asked = admitted.causation_id, admitted.causation_source
        waiter = self._state.waiters.get(asked)
        if waiter is None or admitted.name not in waiter.answers:
            return
        del self._state.waiters[asked]
        hand = waiter.lane.in_hand.get(waiter.seq)
        if hand is not None:
            hand.answers.append(admitted.as_cause())
            header = orjson.dumps({"id": admitted.causation_id})
            self._state.send(waiter.session.identity, [wire.ANSWER, b"", header, admitted.raw])


def _answers(asked: Admitted) -> frozenset[str]:
    expects = asked.contract.expects
    if expects is None:
        raise UsageError(f"{asked.name} expects no answer: its contract has no `expects`. Emit it instead.")
    return frozenset((*expects.answers, expects.timeout))
