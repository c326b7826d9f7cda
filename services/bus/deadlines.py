"""Deadlines of requests: kept in running time, answered or timed out, never both."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from services.bus.records import Admitted, Deadline
from services.bus.store import Store
from signals.catalogue import Catalogue
from signals.errors import LateError

OPEN, ANSWERED, TIMED_OUT = "open", "answered", "timed_out"


class Deadlines:
    """The open deadlines, soonest first. Each change is written with the transaction that makes it."""

    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self._store = store
        self.take_over(catalogue)
        self._open = {deadline.id: deadline for deadline in store.open_deadlines()}
        self._by_seq = {deadline.seq: deadline for deadline in self._open.values()}
        self._over = store.timed_out()
        self._heap: list[tuple[float, str]] = []
        for deadline in self._open.values():
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
            heapq.heappush(self._heap, (ends, deadline.id))

    def opened(self, admitted: Admitted, now: float) -> None:
        """A request was journaled: from now on its answer is awaited."""
        expects = admitted.contract.expects
        if expects is None:
            return
        allowance = expects.queued_at_most_s
        until = now + allowance if allowance is not None else None
        deadline = Deadline(admitted.seq, admitted.id, OPEN, until, expects.deadline_s(admitted.facts))
        self._open[deadline.id] = self._by_seq[deadline.seq] = deadline
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

    def answers(self, admitted: Admitted) -> str | None:
        """The id of the request that a signal answers, if it does. Raises `LateError` after the time-out."""
        if admitted.name not in self._answer_names or admitted.causation_id is None:
            return None
        deadline = self._open.get(admitted.causation_id)
        if deadline is not None:
            return deadline.id if self._is_answer(deadline.id, admitted.name) else None
        closed = self._store.deadline(admitted.causation_id)
        if closed is not None and closed.status == TIMED_OUT and self._is_answer(closed.id, admitted.name):
            raise LateError(f"{admitted.name} comes too late: {admitted.causation_id} has timed out.")
        return None

    def _is_answer(self, request_id: str, name: str) -> bool:
        found = self._store.by_id(request_id)
        return any(name in self._answers.get(orjson.loads(raw)["signal"], ()) for _, raw in found)

    def answered(self, request_id: str) -> None:
        """The answer is part of this transaction."""
        self._close(self._open[request_id], ANSWERED)

    def timed_out(self, deadline: Deadline) -> None:
        """The time-out is part of this transaction."""
        self._close(deadline, TIMED_OUT)
        self._over.add(deadline.seq)

    def _close(self, deadline: Deadline, status: str) -> None:
        deadline.status = status
        del self._open[deadline.id]
        del self._by_seq[deadline.seq]
        self._store.put_deadline(deadline)

    def is_over(self, seq: int) -> bool:
        """Whether the request at `seq` has timed out."""
        return seq in self._over

    def passed(self, now: float, is_paused: Callable[[str], bool]) -> Iterator[Deadline]:
        """The deadlines that have passed; those of a paused consumer stand still."""
        held = []
        while self._heap and self._heap[0][0] <= now:
            ends, request_id = heapq.heappop(self._heap)
            deadline = self._open.get(request_id)
            if deadline is None or deadline.ends() != ends:
                continue
            if deadline.consumer is not None and is_paused(deadline.consumer):
                held.append((ends, request_id))
                continue
            yield deadline
        for entry in held:
            heapq.heappush(self._heap, entry)

    def extend(self, consumers: Callable[[str], bool], seconds: float) -> None:
        """Give the requests in the hands of some consumers more time: they were paused."""
        for deadline in self._open.values():
            if deadline.due is not None and deadline.consumer is not None and consumers(deadline.consumer):
                deadline.due += seconds
                self._store.put_deadline(deadline)
                self._push(deadline)

    def next_end(self) -> float | None:
        """When the next one may pass, in running time."""
        return self._heap[0][0] if self._heap else None


def timeout_facts(request: dict[str, Any], catalogue: Catalogue, waited_s: float) -> tuple[str, dict[str, Any]]:
    """Name and facts of the signal that says that a request got no answer."""
    expects = catalogue[request["signal"]].expects
    assert expects is not None
    copied = {name: request["facts"][name] for name in expects.copy if name in request["facts"]}
    return expects.timeout, {**copied, "waited_s": round(waited_s, 3), "expected": list(expects.answers)}
