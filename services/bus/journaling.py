"""What was admitted becomes part of the transaction: from here on nothing of it can be refused."""

from __future__ import annotations

import time
from typing import Any

from services.bus.admission import Batch, numbered
from services.bus.records import Admitted, Cause
from services.bus.state import State
from signals.envelope import rfc3339
from signals.ids import uuid7

SOURCE = "bus"


class Journaling:
    """Gives each signal its place in the total order, and writes it with what it changes."""

    def __init__(self, state: State) -> None:
        self._state = state

    def write(self, batch: Batch, puts: dict[str, bytes | None]) -> list[int]:
        """Write an admitted batch and the state put with it; each signal's `seq`, 0 for live ones."""
        for admitted in batch.admitted:
            if admitted.fresh:
                self.journal(admitted)
            elif not admitted.seq:
                earlier = batch.earlier(admitted.id)
                admitted.seq = earlier.seq if earlier else 0
        for key, value in puts.items():
            self._state.store.states.put(batch.session or "", key, value)
        return [admitted.seq for admitted in batch.admitted]

    def journal(self, admitted: Admitted) -> None:
        """Write one signal; live ones are only told."""
        state = self._state
        if admitted.contract.delivery == "durable":
            request = state.deadlines.answers(admitted)
            state.head += 1
            admitted.seq = state.head
            admitted.raw = numbered(admitted.raw, state.head)
            state.store.insert(admitted)
            state.admission.journaled(admitted)
            state.deadlines.opened(admitted, state.clock.now())
            if request is not None:
                state.deadlines.answered(request)
        state.committed.append(admitted)

    def own(self, name: str, facts: dict[str, Any], causes: list[Cause], signal_id: str | None = None) -> None:
        """Emit a signal of the bus's own; once, if it has a derived id."""
        envelope = {
            "signal": name,
            "id": signal_id or uuid7(),
            "timestamp": rfc3339(time.time()),
            "source": SOURCE,
            "host": self._state.host,
            "version": self._state.catalogue[name].version,
            "facts": facts,
        }
        if signal_id is None or self._state.store.find(signal_id, SOURCE) is None:
            self.journal(self._state.admission.own(envelope, causes))
