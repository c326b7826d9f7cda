"""The bus without its sockets: what each request does to the journal, the lanes and the sessions.

A turn is: receive what has come, let time pass, commit once, then answer, deliver and mirror.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from services.bus import headers
from services.bus.access import Access, Peer
from services.bus.admission import Admission, Batch, cause_of, expired, numbered
from services.bus.clock import RunningClock
from services.bus.deadletters import DeadLetters
from services.bus.deadlines import Deadlines, timeout_facts
from services.bus.lanes import Hand, Lane
from services.bus.mirror import Mirror
from services.bus.quota import Quota
from services.bus.records import Admitted, Aside, Cause, Deadline
from services.bus.registration import Registration
from services.bus.registry import Registry
from services.bus.sessions import Session, Sessions, has_ended, open_pidfd
from services.bus.store import Store
from signals import wire
from signals.catalogue import Catalogue
from signals.envelope import rfc3339
from signals.errors import (
    ConflictError,
    LateError,
    LigandError,
    LoopError,
    MalformedError,
    NotInHandError,
    PressureError,
    SchemaError,
    UnauthorisedError,
    UnknownSessionError,
    UsageError,
)
from signals.ids import derive, uuid7

STEPS_ASIDE_S = (1.0, 5.0, 30.0, 120.0)
MAX_ATTEMPTS = 5
MAX_CRASHES = 5
MAX_BATCH = 1000
SESSION_TIMEOUT_S = 60.0
PAGES_A_TURN = 8
LAG_COUNTED = 5000
KEPT_REFUSALS = frozenset({"schema", "unauthorised", "oversize", "loop", "malformed", "conflict"})
SOURCE = "bus"

Send = Callable[[bytes, list[bytes]], None]


@dataclass(slots=True)
class Waiter:
    """A handler that waits for the answer to what it asked."""

    session: Session
    lane: Lane
    seq: int
    answers: frozenset[str]


class Core:
    """Everything the bus knows. One thread; requests of a turn share one commit."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        registry: Registry,
        access: Access,
        dead: DeadLetters,
        *,
        mirror: Mirror,
        send: Send,
        quota: Quota,
        epoch: str,
        max_hops: int,
    ) -> None:
        self.store = store
        self.catalogue = catalogue
        self.access = access
        self.dead = dead
        self.mirror = mirror
        self.epoch = epoch
        self.clock = RunningClock(float(store.meta("running_s", 0.0)))
        self.head = store.head()
        self.published = self.head
        self.sessions = Sessions()
        self.lanes: dict[str, Lane] = {}
        self.deadlines = Deadlines(store, catalogue)
        self.admission = Admission(catalogue, access, store, max_hops)
        self.paused: dict[str, float] = orjson.loads(store.meta("paused", "{}"))
        self.refusing_roots: str | None = None
        self.expired = 0
        self.host = socket.gethostname() or "localhost"
        self._send = send
        self._quota = quota
        self._outbox: list[tuple[bytes, list[bytes]]] = []
        self._committed: list[Admitted] = []
        self._waiters: dict[tuple[str | None, str | None], Waiter] = {}
        self._touched: set[Lane] = set()
        self._replies: list[Callable[[], None]] = []
        self._ops = {
            wire.ATTACH: self._attach,
            wire.EMIT: self._emit,
            wire.SETTLE: self._settle,
            wire.ASK: self._ask,
            wire.BEAT: self._beat,
            wire.DETACH: self._detach,
        }
        self.query: Callable[[Peer, dict[str, Any]], Any] | None = None
        self.registration = Registration(store, self.lanes, self._bury)
        self.register(registry)

    # -- registration --------------------------------------------------------------------------------

    def register(self, registry: Registry) -> None:
        """Take the consumers of a registry; those that are gone dead-letter what they had not settled."""
        self.registry = registry
        self.registration.apply(registry, self.catalogue, self.head, self.clock.now())

    # -- a turn --------------------------------------------------------------------------------------

    def receive(self, identity: bytes, peer: Peer, frames: list[bytes]) -> None:
        """One message. Whatever is wrong with it, its sender is told."""
        request = frames[1] if len(frames) > 1 else b""
        try:
            if len(frames) < 2 or len(request) > 64 or len(frames) > MAX_BATCH + 3:
                raise MalformedError(
                    f"A request has an operation, a number and at most {MAX_BATCH} signals; "
                    f"this has {len(frames)} frames."
                )
            self._dispatch(identity, peer, frames)
        except LigandError as error:
            self._no(identity, request[:64], error)

    def _dispatch(self, identity: bytes, peer: Peer, frames: list[bytes]) -> None:
        op, request = frames[0], frames[1]
        stranger = self.sessions.at(identity)
        if stranger is not None and stranger.peer != peer:  # the connection was lost, and its routing id taken over
            self.end(stranger, crashed=has_ended(stranger))
        if op == wire.LIVE:
            return self._live(identity, peer, frames[2:])
        header = headers.parse(frames[2]) if len(frames) > 2 else {}
        if op == wire.QUERY and self.query is not None:
            return self._ok(identity, request, self.query(peer, header))
        handler = self._ops.get(op)
        if handler is None:
            raise UsageError(f"The bus knows no operation {op[:32]!r}.")
        handler(identity, peer, request, header, frames[3:])
        return None

    def commit(self) -> None:
        """Make this turn durable, then let the world know of it."""
        for lane in self._touched:
            lane.flush_cursor(self.published)
        self._touched.clear()
        if self.store.dirty:
            self.dead.note_offsets()
            self.store.put_meta("running_s", self.clock.now())
            self.store.commit()
            self.dead.flush()
        committed, self._committed, head = self._committed, [], self.head
        outbox, self._outbox = self._outbox, []
        for identity, frames in outbox:
            self._send(identity, frames)  # may end a session, and so journal more: that is the next commit's
        self._publish(committed, head)

    def _publish(self, committed: list[Admitted], head: int) -> None:
        for admitted in committed:
            if admitted.seq:
                for key in self.registry.lanes_for(admitted.name, admitted.facts):
                    self.lanes[key].offer(admitted)
                if self._waiters:
                    self._answer_if_waited(admitted)
            else:
                self._to_listeners(admitted)
            self.mirror.publish(admitted.name, admitted.raw)
        self.published = head

    def keep_time(self) -> None:
        """Write the running time and the cursors of idle lanes, so that a later start knows them."""
        self._touched.update(lane for lane in self.lanes.values() if lane.caught_up)
        if len(self.deadlines) or any(lane.asides for lane in self.lanes.values()):
            self.store.put_meta("running_s", self.clock.now())

    def _ok(self, identity: bytes, request: bytes, body: Any) -> None:
        self._outbox.append((identity, [wire.OK, request, orjson.dumps(body)]))

    def _no(self, identity: bytes, request: bytes, error: LigandError) -> None:
        body = {"code": error.code, "message": error.message, **error.fields}
        self._outbox.append((identity, [wire.NO, request, orjson.dumps(body, default=str)]))

    # -- emitting ------------------------------------------------------------------------------------

    def _emit(self, identity: bytes, peer: Peer, request: bytes, header: dict[str, Any], raws: list[bytes]) -> None:
        session = self.sessions.find(identity, peer)
        if session is None and header.get("attached"):
            raise UnknownSessionError
        puts = self._puts(session, header)
        if not raws and not puts:
            raise UsageError("An emit carries at least one signal, or state to keep.")
        batch = Batch(peer, session.daemon if session else None, self._was_delivered_to(session))
        for raw in raws:
            self._admit_or_bury(raw, batch)
        self._check_roots(batch)
        seqs = self._write(batch, puts)
        self._ok(identity, request, seqs)

    def _admit_or_bury(self, raw: bytes, batch: Batch) -> None:
        try:
            batch.admitted.append(self._admit(raw, batch))
        except LigandError as error:
            self._refuse(raw, batch, error)
            raise

    def _admit(self, raw: bytes, batch: Batch) -> Admitted:
        admitted = self.admission.admit(raw, batch)
        if admitted.fresh:
            self.deadlines.answers(admitted)
        return admitted

    def _refuse(self, raw: bytes, batch: Batch, error: LigandError) -> None:
        """Keep a refused emit among the dead letters, within bounds."""
        peer = batch.peer
        if error.code not in KEPT_REFUSALS:
            return
        if not self.access.is_known(peer):
            self.dead.not_kept += 1
        elif self.dead.may_keep_refused(peer.uid, error.code, len(raw)):
            letter = self.dead.add(error.code, error.message, batch.session or f"uid {peer.uid}", raw)
            self._tell_dead(letter.number, letter.signal, letter.daemon, letter.reason, [])

    def _check_roots(self, batch: Batch) -> None:
        roots = sum(
            1 for a in batch.admitted if a.fresh and a.causation_id is None and a.contract.delivery == "durable"
        )
        if not roots:
            return
        if self.refusing_roots:
            raise PressureError(self.refusing_roots, retry_after_s=5.0)
        self._quota.take(batch.admitted[0].source, roots)

    def _puts(self, session: Session | None, header: dict[str, Any]) -> dict[str, bytes | None]:
        found = headers.puts(header)
        if found and session is None:
            raise UsageError("Only an attached daemon can put state.")
        return found

    def _write(self, batch: Batch, puts: dict[str, bytes | None]) -> list[int]:
        """All checks are passed: from here on nothing of the request can be refused."""
        for admitted in batch.admitted:
            if admitted.fresh:
                self._journal(admitted)
            elif not admitted.seq:
                admitted.seq = next(a.seq for a in batch.admitted if a.id == admitted.id)
        for key, value in puts.items():
            self.store.put_state(batch.session or "", key, value)
        return [admitted.seq for admitted in batch.admitted]

    def _journal(self, admitted: Admitted) -> None:
        if admitted.contract.delivery == "live":
            self._committed.append(admitted)
            return
        request = self.deadlines.answers(admitted)
        self.head += 1
        admitted.seq = self.head
        admitted.raw = numbered(admitted.raw, self.head)
        self.store.insert(admitted)
        self.admission.journaled(admitted)
        self.deadlines.opened(admitted, self.clock.now())
        if request is not None:
            self.deadlines.answered(request)
        self._committed.append(admitted)

    def emit_own(self, name: str, facts: dict[str, Any], causes: list[Cause], signal_id: str | None = None) -> None:
        """Journal a signal of the bus's own; once, if it has a derived id."""
        envelope = {
            "signal": name,
            "id": signal_id or uuid7(),
            "timestamp": rfc3339(time.time()),
            "source": SOURCE,
            "host": self.host,
            "version": self.catalogue[name].version,
            "facts": facts,
        }
        if signal_id is None or self.store.find(signal_id, SOURCE) is None:
            self._journal(self.admission.own(envelope, causes))

    def _was_delivered_to(self, session: Session | None) -> Callable[[Cause, dict[str, Any]], bool]:
        if session is None:
            return lambda cause, envelope: True
        daemon = session.daemon

        def delivered(cause: Cause, envelope: dict[str, Any]) -> bool:
            key = self.registry.lane_of(daemon, cause.name, envelope["facts"])
            if key is not None and self.lanes[key].was_delivered(cause.seq):
                return True
            return self._answers_to(daemon, envelope)

        return delivered

    def _answers_to(self, daemon: str, envelope: dict[str, Any]) -> bool:
        """Whether a signal answers a request that `daemon` made."""
        request = envelope.get("causation_id")
        for _, raw in self.store.by_id(request) if request else ():
            asked = orjson.loads(raw)
            expects = self.catalogue[asked["signal"]].expects if asked["signal"] in self.catalogue else None
            if asked["source"] == daemon and expects and envelope["signal"] in (*expects.answers, expects.timeout):
                return True
        return False

    def _live(self, identity: bytes, peer: Peer, raws: list[bytes]) -> None:
        session = self.sessions.find(identity, peer)
        if session is None:
            return
        batch = Batch(peer, session.daemon, self._was_delivered_to(session))
        for raw in raws:
            try:
                admitted = self.admission.admit(raw, batch)
                if admitted.contract.delivery != "live":
                    raise UsageError(f"{admitted.name} is durable; emit it.")
            except LigandError as error:
                self._refuse(raw, batch, error)
                continue
            if admitted.name == "Q_HEARTBEAT":
                session.health = admitted.facts
            self._committed.append(admitted)

    def _to_listeners(self, admitted: Admitted) -> None:
        for session in self.sessions:
            if admitted.name in session.listens:
                self._send(session.identity, [wire.LIVE, b"", admitted.raw])

    # -- attaching -----------------------------------------------------------------------------------

    def _attach(self, identity: bytes, peer: Peer, request: bytes, header: dict[str, Any], _: list[bytes]) -> None:
        daemon, protocol = header.get("daemon"), header.get("protocol")
        if protocol != wire.PROTOCOL:
            raise UsageError(
                f"The bus speaks protocol {wire.PROTOCOL}, the client {protocol!r}. Install the same version of both."
            )
        if not isinstance(daemon, str):
            raise UsageError("An attach names its daemon.")
        self.access.attach(peer, daemon)
        lanes = {spec.lane: self.lanes[spec.key] for spec in self.registry.lanes_of(daemon)}
        credits, held = headers.credits(header), headers.held(header)
        listens = frozenset(self.registry.daemons[daemon].listens)
        old = self.sessions.of(daemon)
        if old is not None:
            self._replace(old, identity, peer)
        session = Session(
            identity, daemon, peer, lanes, listens, str(header.get("version", ""))[:64], open_pidfd(peer.pid)
        )
        self.sessions.add(session)
        settled = [[lane, seq] for lane, seq, generation in held if not self._adopt(session, lane, seq, generation)]
        for name, lane in lanes.items():
            lane.credit = min(credits.get(name, lane.spec.in_flight), lane.spec.in_flight)
        self.store.put_seen((lane.key for lane in lanes.values()), time.time())
        state = {key: orjson.loads(value) for key, value in self.store.state(daemon).items()}
        self._ok(identity, request, {"epoch": self.epoch, "state": state, "settled": settled, "head": self.head})

    def _replace(self, old: Session, identity: bytes, peer: Peer) -> None:
        """The old session ends and hears of it, unless it is the same connection or its process is gone."""
        if old.identity != identity and not has_ended(old):
            body = {
                "code": "fenced",
                "message": f"Process {peer.pid} has attached as {old.daemon} and takes its place.",
            }
            self._outbox.append((old.identity, [wire.FENCED, b"", orjson.dumps(body)]))
            self.end(old, crashed=False)
        else:
            self.end(old, crashed=old.peer.pid != peer.pid)

    def _adopt(self, session: Session, lane_name: str, seq: int, generation: int) -> bool:
        """Leave a signal in the hands it was in before the bus, or the connection, was lost; False when it is settled.

        Where the generation has risen, that attempt has failed already and the bus knows it.
        """
        lane = session.lanes.get(lane_name)
        if lane is None or lane.is_settled(seq) or self.deadlines.is_over(seq):
            return False
        if seq in lane.asides and lane.asides[seq].generation > generation:
            return False
        raw = (lane.asides[seq].envelope if seq in lane.asides else None) or self.store.envelope(seq)
        if raw is None or self._lane_for(session.daemon, raw) is not lane:
            return False
        now = self.clock.now()
        lane.adopt(seq, raw, now)
        self.deadlines.delivered(seq, lane.key, now)
        return True

    def _lane_for(self, daemon: str, raw: bytes) -> Lane | None:
        envelope = orjson.loads(raw)
        key = self.registry.lane_of(daemon, envelope["signal"], envelope["facts"])
        return self.lanes[key] if key else None

    def _beat(self, identity: bytes, peer: Peer, request: bytes, header: dict[str, Any], _: list[bytes]) -> None:
        session = self.sessions.need(identity, peer)
        session.stopping = session.stopping or bool(header.get("stopping"))

    def _detach(self, identity: bytes, peer: Peer, request: bytes, header: dict[str, Any], _: list[bytes]) -> None:
        self.end(self.sessions.need(identity, peer), crashed=False)
        self._ok(identity, request, {})

    def end(self, session: Session, *, crashed: bool) -> None:
        """A session is over: what it had in hand goes back; after a crash it comes singly."""
        crashed = crashed and not session.stopping
        alone = session.in_hand() == 1
        now = self.clock.now()
        for lane in session.lanes.values():
            for hand in list(lane.in_hand.values()):
                self._give_back(lane, hand, now, crashed, alone)
            lane.unread()
            self._touched.add(lane)
        self._waiters = {k: waiter for k, waiter in self._waiters.items() if waiter.session is not session}
        self.store.put_seen((lane.key for lane in session.lanes.values()), time.time())
        self.sessions.remove(session)

    def _give_back(self, lane: Lane, hand: Hand, now: float, crashed: bool, alone: bool) -> None:
        aside = lane.aside_of(hand).but(due=now)
        if crashed:
            aside = aside.but(suspect=1, crashes=aside.crashes + alone)
        if aside.crashes >= MAX_CRASHES:
            error = f"{lane.spec.daemon} crashed {aside.crashes} times with this signal alone in hand."
            self._bury("poison", error, lane.key, hand.raw, aside)
            lane.settle(hand.seq)
        else:
            lane.put_off(aside)

    def pidfd_ready(self, pidfd: int) -> None:
        """A session's process has ended."""
        session = self.sessions.of_pidfd(pidfd)
        if session is not None and has_ended(session):  # the number may be another session's by now
            self.end(session, crashed=True)

    def unreachable(self, identity: bytes) -> None:
        """A connection is gone, or does not read: its session gives back what it holds."""
        session = self.sessions.at(identity)
        if session is not None:
            self.end(session, crashed=has_ended(session))

    def take_over(self, catalogue: Catalogue, registry: Registry, access: Access) -> None:
        """Go on with new contracts, manifests and access rules."""
        self.catalogue = self.admission.catalogue = catalogue
        self.access = self.admission.access = access
        self.deadlines.take_over(catalogue)
        changed = self.registration.changes(registry)
        for session in self.sessions:
            if session.daemon in changed or session.daemon not in registry.daemons:
                self.end(session, crashed=False)
                self._no(session.identity, b"", UnknownSessionError())  # its client attaches again, to its new lanes
            else:
                session.listens = frozenset(registry.daemons[session.daemon].listens)
        self.register(registry)

    def drop_silent_sessions(self) -> None:
        """Sessions that have not been heard for a minute give back what they hold; they attach again if they live."""
        limit = time.monotonic() - SESSION_TIMEOUT_S
        for session in self.sessions:
            if session.seen < limit:
                self.end(session, crashed=False)

    # -- delivering ----------------------------------------------------------------------------------

    def deliver(self) -> bool:
        """Hand out what waits, within credit. True when the journal must be read on at once."""
        now = self.clock.now()
        more = False
        for session in self.sessions:
            if not session.stopping and not self.is_paused(session.daemon):
                more |= self._deliver_to(session, now)
        return more

    def is_paused(self, consumer: str) -> bool:
        """Whether deliveries to a consumer are held."""
        daemon = consumer.split(".", maxsplit=1)[0]
        return "*" in self.paused or daemon in self.paused or daemon.split("@")[0] in self.paused

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
        unread = [self._fill_lane(session, lane, now) for lane in session.lanes.values()]
        return any(unread)

    def _fill_lane(self, session: Session, lane: Lane, now: float) -> bool:
        pages = PAGES_A_TURN
        while True:
            while self._hand_over(session, lane, now):
                pass
            if len(lane.in_hand) >= lane.credit or now < lane.resume_at or not lane.wants_reading():
                return False
            if not pages:
                return True
            lane.read_page(self.published, lambda name, raw: self.belongs(lane, name, raw))
            self._touched.add(lane)
            pages -= 1

    def belongs(self, lane: Lane, name: str, raw: bytes) -> bool:
        """Whether a journaled signal goes to this lane."""
        facts = orjson.loads(raw)["facts"] if self.registry.needs_facts(name) else {}
        return self.registry.lane_of(lane.spec.daemon, name, facts) == lane.key

    def _hand_over(self, session: Session, lane: Lane, now: float) -> bool:
        hand = lane.take(now)
        if hand is None:
            return False
        over = self.deadlines.is_over(hand.seq)
        self.deadlines.delivered(hand.seq, lane.key, now)
        if over or expired(hand.raw, time.time()):
            self.expired += not over
            lane.settle(hand.seq)
            self._touched.add(lane)
            return True
        aside, raw = hand.aside, hand.raw
        header: dict[str, Any] = {"lane": lane.spec.lane, "seq": hand.seq}
        if aside is not None:
            header |= {"attempt": aside.attempts + 1, "generation": aside.generation, "redelivered": True}
            raw = _replayed(raw) if aside.replayed else raw
        self._send(session.identity, [wire.DELIVER, b"", orjson.dumps(header), raw])
        return True

    # -- settling ------------------------------------------------------------------------------------

    def _settle(self, identity: bytes, peer: Peer, request: bytes, header: dict[str, Any], raws: list[bytes]) -> None:
        session = self.sessions.need(identity, peer)
        lane, hand = self._in_hand(session, header)
        verdict = header.get("verdict", wire.ACK)
        if verdict == wire.ACK:
            self._acknowledge(session, lane, hand, header, raws)
        elif verdict == wire.NAK:
            self._put_off(lane, hand, header)
        elif verdict == wire.REJECT:
            self._bury("rejected", headers.said(header, "error"), lane.key, hand.raw, lane.aside_of(hand))
            lane.settle(hand.seq)
        elif verdict == wire.UNAVAILABLE:
            now = self.clock.now()
            lane.resume_at = now + headers.retry_in(header)
            lane.put_off(lane.aside_of(hand).but(due=now, errors_before=self.head, error=headers.said(header, "error")))
        elif verdict == wire.RETURN:
            lane.put_off(lane.aside_of(hand).but(due=self.clock.now()))
        else:
            raise UsageError(f"A settle cannot say {str(verdict)[:64]!r}.")
        self._touched.add(lane)
        self._ok(identity, request, {})

    def _in_hand(self, session: Session, header: dict[str, Any]) -> tuple[Lane, Hand]:
        name, seq = headers.place(header)
        lane = session.lanes.get(name)
        hand = lane.in_hand.get(seq) if lane else None
        if lane is None or hand is None:
            if self.deadlines.is_over(seq):
                raise LateError
            raise NotInHandError
        return lane, hand

    def _acknowledge(self, session: Session, lane: Lane, hand: Hand, header: dict[str, Any], raws: list[bytes]) -> None:
        puts = self._puts(session, header)
        if raws:
            handled = cause_of(orjson.loads(hand.raw), hand.seq)
            batch = Batch(session.peer, session.daemon, self._was_delivered_to(session), handled, hand.answers)
            for raw in raws:
                self._admit_in_settle(raw, batch)
        else:
            batch = Batch(session.peer, session.daemon, _never)
        self._write(batch, puts)
        lane.settle(hand.seq)

    def _admit_in_settle(self, raw: bytes, batch: Batch) -> None:
        """A loop ends here: its emit is buried, and what was handled is settled all the same."""
        try:
            batch.admitted.append(self._admit(raw, batch))
        except LoopError as error:
            self._refuse(raw, batch, error)
        except LateError as error:
            raise LateError(error.message, of="emit") from error  # what was handled is still in hand

    def _put_off(self, lane: Lane, hand: Hand, header: dict[str, Any]) -> None:
        aside = lane.aside_of(hand)
        attempts = aside.attempts + 1
        aside = aside.but(
            attempts=attempts,
            suspect=0,
            crashes=0,
            generation=aside.generation + 1,
            first_failed_at=aside.first_failed_at or rfc3339(time.time()),
            error=headers.said(header, "error"),
            traceback=headers.said(header, "traceback") or None,
        )
        if attempts >= MAX_ATTEMPTS:
            self._bury("attempts_exhausted", aside.error or "", lane.key, hand.raw, aside)
            lane.settle(hand.seq)
        else:
            lane.put_off(aside.but(due=self.clock.now() + STEPS_ASIDE_S[attempts - 1]))

    def _bury(self, reason: str, error: str, consumer: str, raw: bytes, aside: Aside) -> None:
        """Make a consumer's signal a dead letter, in this transaction."""
        envelope = orjson.loads(raw)
        daemon = consumer.split(".", maxsplit=1)[0]
        letter = self.dead.add(
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
        self._tell_dead(letter.number, letter.signal, daemon, reason, [cause_of(envelope, aside.seq)])
        self.deadlines.delivered(aside.seq, consumer, self.clock.now())  # nobody else may: silence must be heard

    def _tell_dead(self, number: int, signal: str | None, daemon: str, reason: str, causes: list[Cause]) -> None:
        if signal == "Q_DEAD_LETTER_ADDED":
            return
        facts = {"dead_letter_id": number, "signal": signal, "daemon": daemon, "reason": reason}
        self.emit_own("Q_DEAD_LETTER_ADDED", facts, causes)

    def bury_for_pressure(self, lane: Lane, seq: int, raw: bytes, aside: Aside) -> None:
        """Make room: a waiting signal of a consumer becomes a dead letter, whole."""
        self._bury(
            "pressure",
            f"The journal was nearly full and {lane.key} was furthest behind.",
            lane.key,
            raw,
            aside,
        )
        lane.skip(seq)
        self._touched.add(lane)

    # -- asking --------------------------------------------------------------------------------------

    def _ask(self, identity: bytes, peer: Peer, request: bytes, header: dict[str, Any], raws: list[bytes]) -> None:
        session = self.sessions.need(identity, peer)
        lane, hand = self._in_hand(session, header)
        if len(raws) != 1:
            raise UsageError("An ask carries one request.")
        handled = cause_of(orjson.loads(hand.raw), hand.seq)
        batch = Batch(peer, session.daemon, self._was_delivered_to(session), handled)
        asked = self._admit_request(raws[0], batch)
        expects = asked.contract.expects
        if expects is None:
            raise UsageError(f"{asked.name} expects no answer: its contract has no `expects`. Emit it instead.")
        batch.admitted.append(asked)
        self._write(batch, {})
        answers = frozenset((*expects.answers, expects.timeout))
        found = self._recorded(asked, answers)
        stale = lane.aside_of(hand).errors_before
        if found is not None and found[0] <= stale and self.catalogue[orjson.loads(found[1])["signal"]].kind == "error":
            raise ConflictError("The answer on record is a failure from before; ask anew.", stale=True)
        self._ok(identity, request, {"seq": asked.seq, "id": asked.id})
        if found is not None:
            hand.answers.append(cause_of(orjson.loads(found[1]), found[0]))
            self._outbox.append((identity, [wire.ANSWER, b"", orjson.dumps({"id": asked.id}), found[1]]))
        else:
            self._waiters[asked.id, asked.source] = Waiter(session, lane, hand.seq, answers)

    def _admit_request(self, raw: bytes, batch: Batch) -> Admitted:
        try:
            return self._admit(raw, batch)
        except ConflictError:
            raise
        except LigandError as error:
            self._refuse(raw, batch, error)
            raise

    def _recorded(self, asked: Admitted, answers: frozenset[str]) -> tuple[int, bytes] | None:
        if asked.fresh:
            return None
        for seq, raw in self.store.caused_by(asked.correlation_id, asked.id):
            if orjson.loads(raw)["signal"] in answers:
                return seq, raw
        return None

    def _answer_if_waited(self, admitted: Admitted) -> None:
        asked = (admitted.causation_id, admitted.causation_source)
        waiter = self._waiters.get(asked)
        if waiter is None or admitted.name not in waiter.answers:
            return
        del self._waiters[asked]
        hand = waiter.lane.in_hand.get(waiter.seq)
        if hand is not None:
            hand.answers.append(admitted.as_cause())
            header = orjson.dumps({"id": admitted.causation_id})
            self._send(waiter.session.identity, [wire.ANSWER, b"", header, admitted.raw])

    # -- time ----------------------------------------------------------------------------------------

    def pass_deadlines(self) -> None:
        """Emit the time-out of every request whose time has passed, and take it out of all hands."""
        now = self.clock.now()
        for deadline in self.deadlines.passed(now, self.is_paused):
            self._time_out(deadline)

    def _time_out(self, deadline: Deadline) -> None:
        raw = self.store.envelope(deadline.seq)
        self.deadlines.timed_out(deadline)
        if raw is None:
            return
        request = orjson.loads(raw)
        for key in self.registry.lanes_for(request["signal"], request["facts"]):
            lane = self.lanes[key]
            if deadline.seq in lane.in_hand:
                self._cancel(lane, deadline.seq)
            if deadline.seq in lane.in_hand or deadline.seq in lane.asides:
                lane.settle(deadline.seq)
                self._touched.add(lane)
        self._emit_timeout(deadline, request, raw)

    def _emit_timeout(self, deadline: Deadline, request: dict[str, Any], raw: bytes) -> None:
        try:
            name, facts = timeout_facts(request, self.catalogue, in_queue=deadline.delivered is None)
            signal_id = derive(deadline.id, SOURCE, deadline.seq, name, 0)
            self.emit_own(name, facts, [cause_of(request, deadline.seq)], signal_id)
        except SchemaError as error:  # contracts have changed since the request: say so where failures are kept
            letter = self.dead.add("schema", f"Its time-out cannot be emitted: {error.message}", SOURCE, raw)
            self._tell_dead(letter.number, letter.signal, SOURCE, "schema", [cause_of(request, deadline.seq)])

    def _cancel(self, lane: Lane, seq: int) -> None:
        session = self.sessions.of(lane.spec.daemon)
        if session is not None:
            header = orjson.dumps({"lane": lane.spec.lane, "seq": seq})
            self._outbox.append((session.identity, [wire.CANCEL, b"", header]))

    def next_event_in(self) -> float | None:
        """Seconds until something is due by itself; None when nothing is."""
        now = self.clock.now()
        dues = [
            due for lane in self.lanes.values() if lane.credit and (due := lane.next_due()) is not None and due > now
        ]
        end = self.deadlines.next_end()
        if end is not None:
            dues.append(end)
        return max(0.0, min(dues) - now) if dues else None

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
        """How long, in seconds, the oldest unsettled signal has waited; None when there is none."""
        oldest = lane.oldest()
        if oldest is None and not lane.caught_up:
            rows, _ = self.store.page(lane.read, lane.spec.names, LAG_COUNTED, 1 << 60)
            oldest = next((seq for seq, name, raw in rows if self.belongs(lane, name, raw)), None)
        received = self.store.received_at(oldest) if oldest is not None else None
        return round(max(0.0, time.time() - received / 1e6), 3) if received else None

    def used_bytes(self) -> int:
        """Bytes of the journal that count against its budget: dead letters have one of their own."""
        return max(0, self.store.used_bytes() - self.dead.table_bytes)

    def skim(self, lane: Lane) -> None:
        """Move the cursor of a lane that nobody attends over what is not its own, so that it holds none of that."""
        if lane.caught_up or not lane.is_idle():
            return
        after = lane.cursor
        for _ in range(PAGES_A_TURN):
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
            self._touched.add(lane)

    # -- administration ------------------------------------------------------------------------------

    def pause(self, daemon: str) -> None:
        """Hold deliveries to a daemon, or to all (`*`)."""
        known = {name.split("@")[0] for name in self.registry.daemons} | set(self.registry.daemons) | {"*"}
        if daemon not in known:
            raise UsageError(f"There is no daemon {daemon!r} here; known are {', '.join(sorted(known - {'*'}))}.")
        self.paused.setdefault(daemon, self.clock.now())
        self.store.put_meta("paused", orjson.dumps(self.paused).decode())

    def resume(self, daemon: str) -> None:
        """Deliver again; what was in hand meanwhile gets the time back."""
        if daemon == "*":
            for name in list(self.paused):
                self._resume_one(name)
        elif daemon in self.paused:
            self._resume_one(daemon)
        self.store.put_meta("paused", orjson.dumps(self.paused).decode())

    def _resume_one(self, name: str) -> None:
        """Give back the time since `name` was paused; where another pause goes on, only that until it began."""
        held = {key: min(self._pauses(key)) for key in self.lanes if self._pauses(key)}
        del self.paused[name]
        now = self.clock.now()
        for key, since in held.items():
            self.deadlines.extend(key, min(self._pauses(key), default=now) - since)

    def _pauses(self, key: str) -> list[float]:
        """Since when a consumer is paused, under each name that holds it."""
        daemon = key.split(".", maxsplit=1)[0]
        return [self.paused[name] for name in {"*", daemon, daemon.split("@")[0]} if name in self.paused]

    def replay(self, letter_id: int, peer: Peer) -> None:
        """Give a dead letter another chance: to its consumer alone, or as a new emit after a fresh check."""
        row = self.store.dead_letter(letter_id)
        if row is None or row[5] != "dead":
            raise UsageError(f"There is no waiting dead letter {letter_id}.")
        number, _, consumer, seq, generation, _, offset, line = row
        letter = self.dead.line(line, offset, letter_id)
        if letter.get("signal") is None:
            raise UsageError(f"The dead letter {letter_id} is no signal; it can only be dropped.")
        if consumer is None:
            self._emit_again(letter, peer)
        else:
            self._deliver_again(consumer, seq, generation, letter["signal"])
        self.store.mark_dead(number, "replayed")

    def _deliver_again(self, consumer: str, seq: int, generation: int, envelope: dict[str, Any]) -> None:
        lane = self.lanes.get(consumer)
        if lane is None:
            raise UsageError(f"The consumer {consumer} is not listed any more.")
        if not lane.is_settled(seq):
            raise UsageError(f"{consumer} has not settled {seq}; there is nothing to replay.")
        kept = None if self.store.envelope(seq) else orjson.dumps(envelope)
        lane.put_off(Aside(seq, generation=generation + 1, due=self.clock.now(), replayed=1, envelope=kept))

    def _emit_again(self, letter: dict[str, Any], peer: Peer) -> None:
        envelope = {
            k: v
            for k, v in letter["signal"].items()
            if k not in ("seq", "correlation_id", "hops", "received_at", "peer_uid")
        }
        envelope |= {"id": uuid7(), "timestamp": rfc3339(time.time())}
        daemon = letter["daemon"] if letter["daemon"] in self.registry.daemons else None
        batch = Batch(peer, daemon, lambda cause, found: True)
        batch.admitted.append(self._admit(orjson.dumps(envelope), batch))
        self._check_roots(batch)
        self._write(batch, {})

    def drop(self, letter_id: int) -> None:
        """Forget a dead letter; its line stays in the file until that is pruned."""
        row = self.store.dead_letter(letter_id)
        if row is None or row[5] != "dead":
            raise UsageError(f"There is no waiting dead letter {letter_id}.")
        self.store.mark_dead(row[0], "dropped")

    def need_person(self, peer: Peer) -> None:
        """Raise unless the peer may watch and administer."""
        if not self.access.is_person(peer):
            raise UnauthorisedError(f"uid {peer.uid} may not ask this of the bus.")


def _never(_: Cause, __: dict[str, Any]) -> bool:
    return False


def _replayed(raw: bytes) -> bytes:
    return orjson.dumps({**orjson.loads(raw), "replayed": True})
