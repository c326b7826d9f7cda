"""What the parts of the bus share: the journal, the consumers, the sessions, and what this turn will say."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.bus.access import Access
from services.bus.admission import Admission
from services.bus.clock import RunningClock
from services.bus.deadletters import DeadLetters
from services.bus.deadlines import Deadlines
from services.bus.lanes import Lane
from services.bus.mirror import Mirror
from services.bus.quota import Quota
from services.bus.records import Admitted
from services.bus.registry import Registry
from services.bus.sessions import Session, Sessions
from services.bus.store import Store
from signals import wire
from signals.catalogue import Catalogue
from signals.errors import LigandError

Send = Callable[[bytes, list[bytes]], None]
LAG_COUNTED = 5000
SKIMMED = 8


@dataclass(slots=True, eq=False)
class Waiter:
    """A handler that waits for the answer to what it asked."""

    session: Session
    lane: Lane
    seq: int
    answers: frozenset[str]


@dataclass(slots=True, eq=False)
class State:
    """One thread changes it. `head` is the last `seq` given, `published` the last one committed and told."""

    store: Store
    catalogue: Catalogue
    registry: Registry
    access: Access
    admission: Admission
    deadlines: Deadlines
    dead: DeadLetters
    mirror: Mirror
    quota: Quota
    clock: RunningClock
    send: Send
    epoch: str
    head: int
    published: int
    paused: dict[str, float]
    sessions: Sessions = field(default_factory=Sessions)
    lanes: dict[str, Lane] = field(default_factory=dict)
    waiters: dict[tuple[str | None, str | None], Waiter] = field(default_factory=dict)
    touched: set[Lane] = field(default_factory=set)
    committed: list[Admitted] = field(default_factory=list)
    outbox: list[tuple[bytes, list[bytes]]] = field(default_factory=list)
    refusing_roots: str | None = None
    expired: int = 0
    host: str = field(default_factory=lambda: socket.gethostname() or "localhost")

    # -- what is said after the commit ---------------------------------------------------------------

    def ok(self, identity: bytes, request: bytes, body: Any) -> None:
        """Answer a request."""
        self.outbox.append((identity, [wire.OK, request, orjson.dumps(body)]))

    def answer_together(self, identity: bytes, since: int) -> None:
        """Make the answers to one client, from place `since` on in what this turn will say, one message."""
        new = self.outbox[since:]
        taken = [frames for who, frames in new if who == identity and frames[0] == wire.OK]
        if len(taken) > 1:
            pairs = b",".join(b"[%s,%s]" % (request, body) for _, request, body in taken)
            rest = [(who, frames) for who, frames in new if who != identity or frames[0] != wire.OK]
            self.outbox[since:] = [*rest, (identity, [wire.OKS, b"", b"[%s]" % pairs])]

    def no(self, identity: bytes, request: bytes, error: LigandError) -> None:
        """Refuse a request."""
        body = {"code": error.code, "message": error.message, **error.fields}
        self.outbox.append((identity, [wire.NO, request, orjson.dumps(body, default=str)]))

    def push(self, identity: bytes, kind: bytes, header: dict[str, Any], *frames: bytes) -> None:
        """Tell a session something by itself."""
        self.outbox.append((identity, [kind, b"", orjson.dumps(header), *frames]))

    # -- what is asked of it -------------------------------------------------------------------------

    def pauses(self, consumer: str) -> list[float]:
        """Since when a consumer is paused, under each name that holds it."""
        daemon = consumer.split(".", maxsplit=1)[0]
        return [self.paused[name] for name in {"*", daemon, daemon.split("@")[0]} if name in self.paused]

    def is_paused(self, consumer: str) -> bool:
        """Whether deliveries to a consumer are held."""
        return bool(self.paused) and bool(self.pauses(consumer))

    def used_bytes(self) -> int:
        """Bytes of the journal that count against its budget: dead letters have one of their own."""
        return max(0, self.store.used_bytes() - self.dead.table_bytes)

    def skim(self, lane: Lane) -> None:
        """Move the cursor of a lane that nobody attends over what is not its own, so that it holds none of that."""
        if lane.caught_up or not lane.is_idle():
            return
        after = lane.cursor
        for _ in range(SKIMMED):
            found = self.store.first_after(lane.spec.names, after)
            if found is None:
                after = self.published
                break
            if self.belongs(lane, found[1], found[2]):
                after = found[0] - 1
                break
            after = found[0]
        if after > lane.cursor:
            lane.pass_over(after)
            self.touched.add(lane)

    def belongs(self, lane: Lane, name: str, raw: bytes) -> bool:
        """Whether a journaled signal goes to this lane."""
        facts = orjson.loads(raw)["facts"] if self.registry.needs_facts(name) else {}
        return self.registry.lane_of(lane.spec.daemon, name, facts) == lane.key

    def lag_of(self, lane: Lane) -> int:
        """How many signals a lane has not settled."""
        if lane.caught_up:
            return lane.waiting()
        names = lane.spec.names
        if not any(self.registry.needs_facts(name) for name in names):
            return lane.waiting() + self.store.count_after(names, lane.read)
        rows, _ = self.store.page(lane.read, names, LAG_COUNTED, 1 << 60)
        return lane.waiting() + sum(self.belongs(lane, name, raw) for _, name, raw in rows)

    def oldest_age_s(self, lane: Lane) -> float | None:
        """How long, in seconds, a lane's oldest unsettled signal has waited; None when there is none."""
        oldest = lane.oldest()
        if oldest is None and not lane.caught_up:
            oldest = self._first_unread(lane)
        received = self.store.received_at(oldest) if oldest is not None else None
        return round(max(0.0, time.time() - received / 1e6), 3) if received else None

    def _first_unread(self, lane: Lane) -> int | None:
        first = self.store.first_after(lane.spec.names, lane.read)
        if first is None or self.belongs(lane, first[1], first[2]):
            return first[0] if first else None
        rows, _ = self.store.page(lane.read, lane.spec.names, LAG_COUNTED, 1 << 60)
        return next((seq for seq, name, raw in rows if self.belongs(lane, name, raw)), None)
