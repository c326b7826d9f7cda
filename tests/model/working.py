"""The part of the model that works: emits, what consumers are given, and what they say of it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from signals import wire
from signals.envelope import Signal, encode, rfc3339
from signals.ids import derive
from tests.support.constellation import Constellation, Running
from tests.support.raw import Given, Raw

ITEM = {"n": {"type": "integer"}}
CREDIT = {"eater": 2, "watcher": 8}
HEARS = {"eater": {"Q_ITEM_SEEN"}, "watcher": {"Q_ITEM_SEEN", "Q_ITEM_DONE"}}
OTHERS = ["intent_router", "investigator", "capability_integrator"]
consumers = st.sampled_from(sorted(CREDIT))


@dataclass
class Consumer:
    """What the model knows of a consumer: `pending` holds the attempts of each signal that it has not settled."""

    pending: dict[int, int] = field(default_factory=dict)
    in_hand: dict[int, Given] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    state: dict[str, Any] = field(default_factory=dict)
    paused: bool = False
    newest: int = 0
    client: Raw | None = None


class Working(RuleBasedStateMachine):
    """A bus, a person who emits, and two consumers. `tally`: of all runs."""

    tally: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.home = Constellation(Path(tempfile.mkdtemp(prefix="model-")))
        self.known = {name: Consumer() for name in CREDIT}
        self.journal: dict[int, Signal] = {}
        self.dead: dict[int, tuple[str, str | None, int | None]] = {}
        self.letters = 0
        self.n = 0
        self.pruned = False

    @initialize(count=st.integers(1, 6))
    def start(self, count: int) -> None:
        for name in ("Q_ITEM_SEEN", "Q_ITEM_DONE"):
            self.home.contract(name, ITEM, example={"n": 1})
        for name, credit in CREDIT.items():
            emits = ["Q_ITEM_DONE"] if name == "eater" else []
            self.home.manifest(name, consumes=sorted(HEARS[name]), emits=emits, in_flight=credit)
        self.home.config("bus", {"disable": OTHERS})
        self.bus = self.serve()
        self.person = Raw(self.home.paths)
        for name in CREDIT:
            self.attach(name)
        self.emit(count)

    def serve(self) -> Running:
        """Start the bus that is tried."""
        return self.home.bus()

    def clear(self) -> None:
        for client in [getattr(self, "person", None), *(known.client for known in self.known.values())]:
            if client is not None:
                client.close()
        self.home.close()
        shutil.rmtree(self.home.home)

    # -- emitting ------------------------------------------------------------------------------------

    def make(self) -> Signal:
        self.n += 1
        return self.person.make("Q_ITEM_SEEN", {"n": self.n})

    def journaled(self, seq: int, signal: Signal) -> None:
        assert seq not in self.journal, f"#{seq} was given twice"
        self.tally["signals journaled"] += 1
        self.journal[seq] = signal
        for name, known in self.known.items():
            if signal.signal in HEARS[name]:
                known.pending[seq] = 0

    @rule(count=st.integers(1, 4))
    def emit(self, count: int) -> None:
        signals = [self.make() for _ in range(count)]
        seqs = self.person.emit(*signals)
        assert len(seqs) == count
        for seq, signal in zip(seqs, signals, strict=True):
            self.journaled(seq, signal)

    @precondition(lambda self: self.journal and not self.pruned)
    @rule(data=st.data())
    def emit_again(self, data: st.DataObject) -> None:
        roots = [seq for seq, signal in self.journal.items() if signal.signal == "Q_ITEM_SEEN"]
        seq = data.draw(st.sampled_from(roots))
        assert self.person.emit(self.journal[seq]) == [seq]

    @rule()
    def emit_what_does_not_fit(self) -> None:
        wrong = self.person.make("Q_ITEM_SEEN", {"n": "no number"})
        assert self.person.refusal_of(wire.EMIT, {}, encode(wrong)) == "schema"
        self.buried("schema", None, None)

    @rule()
    def emit_what_has_expired(self) -> None:
        """Journaled, and given to nobody."""
        self.person.emit(self.person.make("Q_ITEM_SEEN", {"n": -1}, expires_at=rfc3339(time.time() - 60)))

    # -- consuming -----------------------------------------------------------------------------------

    def attached(self, name: str) -> Raw | None:
        return self.known[name].client

    @rule(name=consumers)
    def attach(self, name: str) -> None:
        """A new connection takes the place of the old one, and what that had in hand comes again."""
        known = self.known[name]
        if known.client is not None:
            known.client.close()
        known.client = Raw(self.home.paths)
        body = known.client.attach(name)
        known.in_hand.clear()
        assert body["state"] == known.state

    @rule(name=consumers)
    def detach(self, name: str) -> None:
        known = self.known[name]
        if known.client is not None:
            known.client.detach()
            known.client.close()
            known.client = None
            known.in_hand.clear()

    def sure(self, name: str) -> set[int]:
        """What the bus must be about to give: there is room, and its time has come."""
        known = self.known[name]
        if known.client is None or known.paused or len(known.in_hand) >= CREDIT[name]:
            return set()
        return known.pending.keys() - known.in_hand.keys() - known.waiting

    @rule(name=consumers)
    def pull(self, name: str) -> None:
        while self.sure(name):
            self.given(name)

    def given(self, name: str) -> None:
        known = self.known[name]
        assert known.client is not None
        self.took(name, known.client.given())

    def took(self, name: str, given: Given) -> None:
        known, seq = self.known[name], given.seq
        assert seq in known.pending, f"{name} was given #{seq}, which is not its own or settled"
        assert seq not in known.in_hand, f"{name} was given #{seq} twice"
        assert given.signal.facts == self.journal[seq].facts
        assert given.header.get("attempt", 1) == known.pending[seq] + 1
        if not given.header.get("redelivered"):
            assert seq > known.newest, f"{name} was given #{seq} after #{known.newest}"
            known.newest = seq
        known.in_hand[seq] = given
        self.tally["delivered again" if given.header.get("redelivered") else "delivered"] += 1
        known.waiting.discard(seq)
        assert len(known.in_hand) <= CREDIT[name]

    def in_hand(self, name: str, data: st.DataObject) -> Given | None:
        self.pull(name)
        known = self.known[name]
        return known.in_hand[data.draw(st.sampled_from(sorted(known.in_hand)))] if known.in_hand else None

    # -- settling ------------------------------------------------------------------------------------

    def answer_of(self, name: str, given: Given) -> tuple[dict[str, Any], list[Signal]]:
        """Header and emits of an acknowledgement: a worker counts, and hands the item on."""
        header = {"lane": given.lane, "seq": given.seq, "verdict": wire.ACK}
        if name != "eater":
            return header, []
        cause, fields = given.signal.id, {"causation_id": given.signal.id, "source": "eater"}
        child = derive(cause, name, int(given.header.get("generation", 0)), "Q_ITEM_DONE", 0)
        count = self.known[name].state.get("count", 0) + 1
        signal = self.person.make("Q_ITEM_DONE", {"n": given.signal.facts["n"]}, id=child, **fields)
        return {**header, "put": {"count": count}}, [signal]

    def settled(self, name: str, given: Given, header: dict[str, Any], emitted: list[Signal]) -> None:
        known = self.known[name]
        del known.pending[given.seq]
        known.in_hand.pop(given.seq, None)
        known.state |= header.get("put", {})
        self.tally["acknowledged"] += 1
        for signal in emitted:
            with self.home.journal() as journal:
                (raw,) = journal.get(signal.id)
            self.journaled(orjson.loads(raw)["seq"], signal)

    @rule(name=consumers, data=st.data())
    def acknowledge(self, name: str, data: st.DataObject) -> None:
        given, client = self.in_hand(name, data), self.attached(name)
        if given is not None and client is not None:
            header, emits = self.answer_of(name, given)
            client.call(wire.SETTLE, header, *map(encode, emits))
            self.settled(name, given, header, emits)

    @rule(name=consumers, data=st.data())
    def fail(self, name: str, data: st.DataObject) -> None:
        given, client = self.in_hand(name, data), self.attached(name)
        if given is not None and client is not None and not self.known[name].pending[given.seq]:
            client.settle(given, verdict=wire.NAK, error="failed")
            self.put_back(name, given.seq)
            self.known[name].pending[given.seq] += 1

    @rule(name=consumers, data=st.data())
    def give_back(self, name: str, data: st.DataObject) -> None:
        given, client = self.in_hand(name, data), self.attached(name)
        if given is not None and client is not None:
            client.settle(given, verdict=wire.RETURN)
            self.put_back(name, given.seq)

    def put_back(self, name: str, seq: int) -> None:
        """It comes again; when, the bus decides."""
        del self.known[name].in_hand[seq]
        self.known[name].waiting.add(seq)

    @rule(name=consumers, data=st.data())
    def reject(self, name: str, data: st.DataObject) -> None:
        given, client = self.in_hand(name, data), self.attached(name)
        if given is not None and client is not None:
            client.settle(given, verdict=wire.REJECT, error="no")
            del self.known[name].pending[given.seq], self.known[name].in_hand[given.seq]
            self.buried("rejected", name, given.seq)

    @rule(name=consumers, seq=st.integers(0, 1 << 40))
    def settle_what_was_never_given(self, name: str, seq: int) -> None:
        known = self.known[name]
        if known.client is not None and seq not in known.pending:
            header = {"lane": "", "seq": seq, "verdict": wire.ACK, "put": {"count": -1}}
            assert known.client.refusal_of(wire.SETTLE, header) == "not_in_hand"

    def buried(self, reason: str, consumer: str | None, seq: int | None) -> None:
        self.letters += 1
        self.tally["dead letters"] += 1
        self.dead[self.letters] = (reason, consumer, seq)
