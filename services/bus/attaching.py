"""Sessions begin, take each other's place, and end; what they had in hand goes back."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import orjson

from services.bus import headers
from services.bus.access import Peer
from services.bus.admission import cause_of
from services.bus.burying import Burying
from services.bus.lanes import Hand, Lane
from services.bus.records import Cause
from services.bus.sessions import Session, has_ended, open_pidfd
from services.bus.state import State
from signals import wire
from signals.errors import UnknownSessionError, UsageError

MAX_CRASHES = 5
SESSION_TIMEOUT_S = 60.0


class Attaching:
    """One session for each daemon or instance; a new one fences the old."""

    def __init__(self, state: State, burying: Burying) -> None:
        self._state = state
        self._burying = burying

    def attach(self, identity: bytes, peer: Peer, request: bytes, header: dict[str, Any], _: list[bytes]) -> None:
        """`attach`: a daemon is here, with what it still has in hand."""
        state = self._state
        daemon = _daemon(header)
        state.access.attach(peer, daemon)
        credits, held = headers.credits(header), headers.held(header)
        old = state.sessions.of(daemon)
        if old is not None:
            self._replace(old, identity, peer)
        session = self._open(identity, peer, daemon, str(header.get("version", ""))[:64])
        session.many = header.get("many") is True
        over = [(one.lane, one.seq) for one in held if not self._adopt(session, one)]
        late = [(lane, seq) for lane, seq in over if state.deadlines.is_over(seq)]
        settled = [(lane, seq) for lane, seq in over if not state.deadlines.is_over(seq)]
        for name, lane in session.lanes.items():
            lane.close_gaps(partial(state.belongs, lane), state.clock.now())
            lane.credit = min(credits.get(name, lane.spec.in_flight), lane.spec.in_flight)
        kept = {key: orjson.loads(value) for key, value in state.store.states.of(daemon).items()}
        body = {
            "epoch": state.epoch,
            "state": kept,
            "settled": settled,
            "late": late,
            "head": state.head,
            "many": True,
        }
        state.ok(identity, request, body)

    def _open(self, identity: bytes, peer: Peer, daemon: str, version: str) -> Session:
        state = self._state
        lanes = {spec.lane: state.lanes[spec.key] for spec in state.registry.lanes_of(daemon)}
        listens = frozenset(state.registry.daemons[daemon].listens)
        session = Session(identity, daemon, peer, lanes, listens, version, open_pidfd(peer.pid))
        state.sessions.add(session)
        self._seen(session)
        return session

    def _replace(self, old: Session, identity: bytes, peer: Peer) -> None:
        """The old session ends, and hears of it unless it is the same connection or its process is gone."""
        same = old.peer.pid == peer.pid
        gone = has_ended(old)
        if old.identity != identity and not gone:
            message = f"Process {peer.pid} has attached as {old.daemon} and takes its place."
            self._state.push(old.identity, wire.FENCED, {"code": "fenced", "message": message})
        self.end(old, crashed=gone and not same)

    def _adopt(self, session: Session, held: headers.Held) -> bool:
        """Leave a signal in the hands that held it before the connection was lost; False when it is settled.

        Where the generation has risen, that attempt has failed already and the bus knows it. Where another signal has
        its number, the journal was restored meanwhile, and what is held is no part of it.
        """
        state, lane, seq = self._state, session.lanes.get(held.lane), held.seq
        if lane is None or lane.is_settled(seq) or state.deadlines.is_over(seq):
            return False
        if seq in lane.asides and lane.asides[seq].generation > held.generation:
            return False
        raw = (lane.asides[seq].envelope if seq in lane.asides else None) or state.store.envelope(seq)
        if raw is None or not state.belongs(lane, (kept := orjson.loads(raw))["signal"], raw):
            return False
        if held.id not in (None, kept["id"]):
            return False
        hand = lane.adopt(seq, raw)
        hand.answers = self._answered(session.daemon, hand)
        state.deadlines.delivered(seq, lane.key, state.clock.now())
        return True

    def _answered(self, daemon: str, hand: Hand) -> list[Cause]:
        """The answers on record to what `daemon` asked while it had a signal in hand."""
        store, catalogue = self._state.store, self._state.catalogue
        handled, found = cause_of(orjson.loads(hand.raw), hand.seq), []
        for _, raw in store.caused_by(handled.correlation_id, handled.id):
            asked = orjson.loads(raw)
            contract = catalogue.get(asked["signal"])
            if asked["source"] != daemon or contract is None or contract.expects is None:
                continue
            answers = (*contract.expects.answers, contract.expects.timeout)
            for seq, answer in store.caused_by(handled.correlation_id, asked["id"]):
                envelope = orjson.loads(answer)
                if envelope["signal"] in answers:
                    found.append(cause_of(envelope, seq))
        return found

    def beat(self, identity: bytes, peer: Peer, request: bytes, header: dict[str, Any], _: list[bytes]) -> None:
        """`beat`: the session is alive, or about to stop."""
        session = self._state.sessions.need(identity, peer)
        session.stopping = session.stopping or bool(header.get("stopping"))

    def detach(self, identity: bytes, peer: Peer, request: bytes, header: dict[str, Any], _: list[bytes]) -> None:
        """`detach`: the session is over, in good order."""
        self.end(self._state.sessions.need(identity, peer), crashed=False)
        self._state.ok(identity, request, {})

    def note_seen(self) -> None:
        """Note who is attached, for a start after which somebody does not come back: what it needs is kept for long."""
        for session in self._state.sessions:
            self._seen(session)

    def _seen(self, session: Session) -> None:
        self._state.store.put_seen((lane.key for lane in session.lanes.values()), time.time())

    def end(self, session: Session, *, crashed: bool) -> None:
        """A session is over: what it had in hand goes back; after a crash it comes singly."""
        state = self._state
        crashed = crashed and not session.stopping
        alone = session.in_hand() == 1
        for lane in session.lanes.values():
            for hand in list(lane.in_hand.values()):
                self._give_back(lane, hand, crashed=crashed, alone=alone)
            lane.unread()
            state.touched.add(lane)
        state.waiters = {key: waiter for key, waiter in state.waiters.items() if waiter.session is not session}
        self._seen(session)
        state.sessions.remove(session)

    def _give_back(self, lane: Lane, hand: Hand, *, crashed: bool, alone: bool) -> None:
        aside = lane.aside_of(hand).but(due=self._state.clock.now())
        if crashed:
            aside = aside.but(suspect=1, crashes=aside.crashes + alone)
        if aside.crashes >= MAX_CRASHES:
            error = f"{lane.spec.daemon} crashed {aside.crashes} times with this signal alone in hand."
            self._burying.given_up("poison", error, lane.key, hand.raw, aside)
            lane.settle(hand.seq)
        else:
            lane.put_off(aside)

    # -- ends that nobody announces ------------------------------------------------------------------

    def pidfd_ready(self, pidfd: int) -> None:
        """A session's process has ended."""
        session = self._state.sessions.of_pidfd(pidfd)
        if session is not None and has_ended(session):  # the number may be another session's by now
            self.end(session, crashed=True)

    def mind_stranger(self, identity: bytes, peer: Peer) -> None:
        """A frame by another process on a session's routing id: the session's connection is lost."""
        session = self._state.sessions.at(identity)
        if session is not None and session.peer != peer:
            self.end(session, crashed=has_ended(session))

    def reroute(self, daemons: set[str]) -> None:
        """The lanes of these daemons are about to change: their clients are to attach again."""
        for session in self._state.sessions:
            if session.daemon in daemons:
                self.end(session, crashed=False)
                self._state.no(session.identity, b"", UnknownSessionError())

    def unreachable(self, identity: bytes, *, gone: bool) -> None:
        """A connection is gone, or (not `gone`) does not read its messages.

        The sockets of a process that dies close before its end can be seen: a session whose connection is gone
        waits for its pidfd, which says whether that was a crash, or for the process to attach again.
        """
        session = self._state.sessions.at(identity)
        if session is None:
            return
        if gone and session.pidfd is not None and not has_ended(session):
            session.lost = True
        else:
            self.end(session, crashed=has_ended(session))

    def drop_silent(self) -> None:
        """Sessions not heard for a minute give back what they hold; they attach again if they live."""
        limit = time.monotonic() - SESSION_TIMEOUT_S
        for session in self._state.sessions:
            if session.seen < limit:
                self.end(session, crashed=False)


def _daemon(header: dict[str, Any]) -> str:
    daemon, protocol = header.get("daemon"), header.get("protocol")
    if protocol != wire.PROTOCOL:
        raise UsageError(
            f"The bus speaks protocol {wire.PROTOCOL}, the client {protocol!r}. Install the same version of both."
        )
    if not isinstance(daemon, str):
        raise UsageError("An attach names its daemon.")
    return daemon
