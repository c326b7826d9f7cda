"""The bus without its sockets. A turn is: receive what has come, let time pass, commit once, then tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.bus import headers
from services.bus.access import Peer
from services.bus.administration import Administration
from services.bus.asking import Asking
from services.bus.attaching import Attaching
from services.bus.burying import Burying
from services.bus.delivering import Delivering
from services.bus.emitting import Emitting
from services.bus.expiry import Expiry
from services.bus.journaling import Journaling
from services.bus.records import Admitted
from services.bus.registration import Registration
from services.bus.settling import Settling
from services.bus.state import State
from signals import wire
from signals.errors import LigandError, MalformedError, UsageError

MAX_BATCH = 1000
MAX_REQUEST = 64

Operation = Callable[[bytes, Peer, bytes, dict[str, Any], list[bytes]], None]
Query = Callable[[Peer, dict[str, Any]], Any]


class Core:
    """The parts of the bus around one state. One thread; the requests of a turn share one commit."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.journaling = Journaling(state)
        self.burying = Burying(state, self.journaling)
        self.registration = Registration(state, self.burying)
        self.emitting = Emitting(state, self.journaling, self.burying)
        self.attaching = Attaching(state, self.burying)
        self.delivering = Delivering(state)
        self.settling = Settling(state, self.journaling, self.burying, self.emitting)
        self.asking = Asking(state, self.journaling, self.burying, self.emitting, self.settling)
        self.expiry = Expiry(state, self.journaling, self.burying)
        self.administration = Administration(state, self.journaling, self.emitting)
        self.query: Query | None = None
        self._operations: dict[bytes, Operation] = {
            wire.ATTACH: self.attaching.attach,
            wire.BEAT: self.attaching.beat,
            wire.DETACH: self.attaching.detach,
            wire.EMIT: self.emitting.emit,
            wire.SETTLE: self.settling.settle,
            wire.ASK: self.asking.ask,
            wire.QUERY: self._query,
        }
        self.registration.register(state.registry)

    def receive(self, identity: bytes, peer: Peer, frames: list[bytes]) -> None:
        """One message. Whatever is wrong with it, its sender is told."""
        request = frames[1] if len(frames) > 1 else b""
        try:
            if len(frames) < 2 or len(request) > MAX_REQUEST or len(frames) > MAX_BATCH + 3:
                raise MalformedError(
                    f"A request has an operation, a number and at most {MAX_BATCH} signals; "
                    f"this has {len(frames)} frames."
                )
            self._dispatch(identity, peer, frames)
        except LigandError as error:
            self.state.no(identity, request[:MAX_REQUEST], error)

    def _dispatch(self, identity: bytes, peer: Peer, frames: list[bytes]) -> None:
        self.attaching.mind_stranger(identity, peer)
        if frames[0] == wire.LIVE:
            self.emitting.live(identity, peer, frames[2:])
            return
        if frames[0] == wire.MANY:
            self._many(identity, peer, frames)
            return
        operation = self._operations.get(frames[0])
        if operation is None:
            raise UsageError(f"The bus knows no operation {frames[0][:32]!r}.")
        header = headers.parse(frames[2]) if len(frames) > 2 else {}
        operation(identity, peer, frames[1], header, frames[3:])

    def _query(self, identity: bytes, peer: Peer, request: bytes, header: dict[str, Any], _: list[bytes]) -> None:
        if self.query is not None:
            self.state.ok(identity, request, self.query(peer, header))

    def _many(self, identity: bytes, peer: Peer, frames: list[bytes]) -> None:
        """`many`: each request of the list by itself; one answer for all that were taken."""
        told, at, raws = len(self.state.outbox), 0, frames[3:]
        for op, number, header, count in headers.many(frames[2] if len(frames) > 2 else b"", len(raws)):
            try:
                self._operations[op](identity, peer, number, header, raws[at : at + count])
            except LigandError as error:
                self.state.no(identity, number, error)
            at += count
        self.state.answer_together(identity, told)

    def commit(self) -> None:
        """Make this turn durable, then answer, hand answers to who waits, and let the lanes and watchers know."""
        state = self.state
        for lane in state.touched:
            lane.flush_cursor(state.published)
        state.touched.clear()
        if state.store.dirty:
            state.dead.note_offsets()
            state.dead.write_ahead()
            state.store.put_meta("running_s", state.clock.now())
            state.store.commit()
            state.dead.flush()
        committed, state.committed, head = state.committed, [], state.head
        outbox, state.outbox = state.outbox, []
        for identity, frames in outbox:
            state.send(identity, frames)  # may end a session, and so journal more: that is the next commit's
        self._publish(committed, head)

    def _publish(self, committed: list[Admitted], head: int) -> None:
        state = self.state
        for admitted in committed:
            if admitted.seq:
                for key in state.registry.lanes_for(admitted.name, admitted.facts):
                    state.lanes[key].offer(admitted)
                if state.waiters:
                    self.asking.answered(admitted)
            else:
                self.emitting.to_listeners(admitted)
            state.mirror.publish(admitted.name, admitted.raw)
        if committed:
            state.mirror.wake()
        state.published = head

    def keep_time(self) -> None:
        """Write the running time and the cursors of idle lanes, so that a later start knows them."""
        state = self.state
        state.touched.update(lane for lane in state.lanes.values() if lane.caught_up)
        if len(state.deadlines) or any(lane.asides for lane in state.lanes.values()):
            state.store.put_meta("running_s", state.clock.now())
