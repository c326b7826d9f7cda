"""How a signal becomes a dead letter, and how that is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from services.bus.admission import Batch, cause_of
from services.bus.journaling import SOURCE, Journaling
from services.bus.lanes import Lane
from services.bus.records import Aside, Cause, DeadLetter
from services.bus.state import State
from signals.errors import LigandError

KEPT_REFUSALS = frozenset({"schema", "unauthorised", "oversize", "loop", "malformed", "conflict"})
ADDED = "Q_DEAD_LETTER_ADDED"


class Burying:
    """Dead letters are part of the transaction in which a signal is given up."""

    def __init__(self, state: State, journaling: Journaling) -> None:
        self._state = state
        self._journaling = journaling

    def refused(self, raw: bytes, batch: Batch, error: LigandError) -> None:
        """Keep a refused emit, once and within bounds; of unknown users only the number is kept."""
        state, peer = self._state, batch.peer
        if error.code not in KEPT_REFUSALS:
            return
        if not state.access.is_known(peer):
            state.dead.not_kept += 1
            return
        sender = batch.session or f"uid {peer.uid}"
        if letter := state.dead.refuse(error.code, error.message, sender, raw, peer.uid):
            self._tell(letter.number, letter.signal, letter.daemon, letter.reason, [])

    def given_up(self, reason: str, error: str, consumer: str, raw: bytes, aside: Aside) -> None:
        """Keep what a consumer will not get, or will not get again."""
        letter = self._add(reason, error, consumer, raw, aside)
        self._tell(letter.number, letter.signal, letter.daemon, reason, [cause_of(orjson.loads(raw), aside.seq)])

    def _add(self, reason: str, error: str, consumer: str, raw: bytes, aside: Aside) -> DeadLetter:
        daemon = consumer.split(".", maxsplit=1)[0]
        letter = self._state.dead.add(
            reason,
            error,
            daemon,
            raw,
            consumer=consumer,
            generation=aside.generation,
            attempts=aside.attempts or aside.crashes,
            first_failed_at=aside.first_failed_at,
            traceback=aside.traceback,
        )
        # were it a request that nobody else gets, its deadline would never begin: silence must be heard
        self._state.deadlines.delivered(aside.seq, consumer, self._state.clock.now())
        return letter

    def timeout_lost(self, request: dict[str, Any], raw: bytes, error: LigandError) -> None:
        """A time-out that the contracts of today do not allow: said where failures are kept."""
        letter = self._state.dead.add("schema", f"Its time-out cannot be emitted: {error.message}", SOURCE, raw)
        self._tell(letter.number, letter.signal, SOURCE, "schema", [cause_of(request, request["seq"])])

    def for_pressure(self, lane: Lane, seq: int, raw: bytes, aside: Aside) -> DeadLetter:
        """Make room: a waiting signal of a consumer becomes a dead letter, whole. Tell of them all at once."""
        error = f"The journal was nearly full and {lane.key} was furthest behind."
        letter = self._add("pressure", error, lane.key, raw, aside)
        lane.skip(seq)
        self._state.touched.add(lane)
        return letter

    def tell_pressure(self, lane: Lane, letters: Sequence[DeadLetter]) -> None:
        """One signal for all letters of a step: one each would take more room than small signals give back."""
        told = [letter for letter in letters if letter.signal != ADDED]
        if told:
            words = f"{len(letters)} signals for {lane.key}, to number {letters[-1].number}, made room in the journal."
            self._tell(told[0].number, told[0].signal, told[0].daemon, "pressure", [], error=words)

    def _tell(
        self, number: int, signal: str | None, daemon: str, reason: str, causes: list[Cause], **more: str
    ) -> None:
        if signal != ADDED:
            facts = {"dead_letter_id": number, "signal": signal, "daemon": daemon, "reason": reason, **more}
            self._journaling.own(ADDED, facts, causes)
