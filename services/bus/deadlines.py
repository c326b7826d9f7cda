"""Deadlines of requests: kept in running time, answered or timed out, never both."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from services.bus.records import Admitted, Deadline
from services.bus.store import Store
from signals.catalogue import Catalogue
from signals.errors import LateError, SchemaError

OPEN, ANSWERED, TIMED_OUT = "open", "answered", "timed_out"


class Deadlines:
    """The open deadlines, soonest first. Each change is written with the transaction that makes it."""

    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self._store = store
        self.take_over(catalogue)
        found = store.open_deadlines()
        self._open = {(deadline.id, deadline.source): deadline for deadline in found}
        self._by_seq = {deadline.seq: deadline for deadline in found}
        self._over = store.timed_out()
        self._heap: list[tuple[float, int]] = []
        for deadline in found:
            self._push(deadline)

    def take_over(self, catalogue: Catalogue) -> None:
        """Go by new contracts."""
        self._answers = {
            name: set(contract.expects.answers) for name, contract in catalogue.items() if contract.expects is not None
        }
        self._answer_names = frozenset().union(*self._answers.values()) if self._answers else frozenset()

    def __len__(self) -> int:
        return len(self._open)

    def _push(self, deadline: Deadline) -> None:
        ends = deadline.ends()
        if ends is not None:
            heapq.heappush(self._heap, (ends, deadline.seq))

    def opened(self, admitted: Admitted, now: float) -> None:
        """A request was journaled: from now on its answer is awaited."""
        expects = admitted.contract.expects
        if expects is None:
            return
        allowance = expects.queued_at_most_s
        until = now + allowance if allowance is not None else None
        deadline = Deadline(
            admitted.seq, admitted.id, OPEN, until, expects.deadline_s(admitted.facts), source=admitted.source
        )
        self._open[deadline.id, deadline.source] = self._by_seq[deadline.seq] = deadline
        self._store.put_deadline(deadline)
        self._push(deadline)

    def delivered(self, seq: int, consumer: str, now: float) -> None:
        """A request was given to its consumer: at the first time, its clock starts."""
        deadline = self._by_seq.get(seq)
        if deadline is None or deadline.delivered is not None:
            return
        deadline.delivered, deadline.due, deadline.consumer = now, now + deadline.within_s, consumer
        self._store.put_deadline(deadline)
        self._push(deadline)

    def answers(self, admitted: Admitted) -> Deadline | None:
        """The deadline that a signal keeps, if it is an answer. Raises `LateError` after the time-out."""
        if admitted.name not in self._answer_names or admitted.causation_id is None:
            return None
        if not admitted.causation_source:
            raise LateError(
                f"{admitted.name} comes too late: {admitted.causation_id} is no longer kept (retention), and if that "
                "asked for it, its time-out was told. If it answers nothing, emit it without that cause."
            )
        request = admitted.causation_id, admitted.causation_source
        deadline = self._open.get(request)
        if deadline is not None:
            return deadline if self._is_answer(deadline, admitted.name) else None
        closed = self._store.deadline(*request)
        if closed is not None and closed.status == TIMED_OUT and self._is_answer(closed, admitted.name):
            raise LateError(f"{admitted.name} comes too late: {admitted.causation_id} has timed out.")
        return None

    def _is_answer(self, deadline: Deadline, name: str) -> bool:
        raw = self._store.envelope(deadline.seq)
        return raw is not None and name in self._answers.get(orjson.loads(raw)["signal"], ())

    def answered(self, deadline: Deadline) -> None:
        """The answer is part of this transaction."""
        self._close(deadline, ANSWERED)

    def timed_out(self, deadline: Deadline) -> None:
        """The time-out is part of this transaction."""
        self._close(deadline, TIMED_OUT)
        self._over.add(deadline.seq)

    def _close(self, deadline: Deadline, status: str) -> None:
        deadline.status = status
        del self._open[deadline.id, deadline.source]
        del self._by_seq[deadline.seq]
        self._store.put_deadline(deadline)

    def reopen(self, signal_id: str, source: str) -> None:
        """A request that had timed out is replayed: its answer is awaited once more, from its next delivery on."""
        deadline = self._store.deadline(signal_id, source)
        if deadline is None or deadline.status != TIMED_OUT:
            return
        deadline.status, deadline.queued_until = OPEN, None
        deadline.delivered = deadline.due = deadline.consumer = None
        self._over.discard(deadline.seq)
        self._open[deadline.id, deadline.source] = self._by_seq[deadline.seq] = deadline
        self._store.put_deadline(deadline)

    def is_over(self, seq: int) -> bool:
        """Whether the request at `seq` has timed out."""
        return seq in self._over

    def passed(self, now: float, is_paused: Callable[[str], bool]) -> Iterator[Deadline]:
        """The deadlines that have passed; those of a paused consumer stand still until `extend` moves them."""
        while self._heap and self._heap[0][0] <= now:
            ends, seq = heapq.heappop(self._heap)
            deadline = self._by_seq.get(seq)
            if deadline is None or deadline.ends() != ends:
                continue
            if deadline.consumer is None or not is_paused(deadline.consumer):
                yield deadline

    def consumers(self) -> set[str]:
        """Who has been given an open request."""
        return {deadline.consumer for deadline in self._open.values() if deadline.consumer is not None}

    def extend(self, consumer: str, seconds: float) -> None:
        """Give the requests in the hands of a consumer more time: it was paused."""
        for deadline in self._open.values():
            if deadline.due is not None and deadline.consumer == consumer:
                deadline.due += seconds
                self._store.put_deadline(deadline)
                self._push(deadline)

    def oldest(self) -> int | None:
        """The lowest `seq` whose time-out may still have to be written."""
        return min((seq for seq, deadline in self._by_seq.items() if deadline.ends() is not None), default=None)

    def upto(self, seq: int) -> list[Deadline]:
        """The open ones of requests to `seq`."""
        return [deadline for asked, deadline in self._by_seq.items() if asked <= seq]

    def forget(self, upto: int) -> None:
        """The journal was pruned."""
        self._over = {seq for seq in self._over if seq > upto}

    def next_end(self) -> float | None:
        """When the next one may pass, in running time."""
        return self._heap[0][0] if self._heap else None


def timeout_facts(request: dict[str, Any], catalogue: Catalogue, *, in_queue: bool) -> tuple[str, dict[str, Any]]:
    """Name and facts of the signal that says that a request got no answer; `in_queue` when it was never delivered.

    Raises `SchemaError` when its contract is gone or expects no answer any more.
    """
    expects = catalogue[request["signal"]].expects
    if expects is None:
        raise SchemaError(f"{request['signal']} expects no answer any more.")
    waited = (expects.queued_at_most_s or 0.0) if in_queue else expects.deadline_s(request["facts"])
    copied = {name: request["facts"][name] for name in expects.copy if name in request["facts"]}
    return expects.timeout, {**copied, "waited_s": round(waited, 3), "expected": list(expects.answers)}
