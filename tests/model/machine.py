"""A real bus beside a model of it that fits on a page: whatever is asked in whatever order, both must agree."""

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
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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


class BusMachine(RuleBasedStateMachine):
    """Emits, settles, failures, kills of the bus, pauses, pruning and replay, in any order. `tally`: of all runs."""

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

    def teardown(self) -> None:
        try:
            if hasattr(self, "person"):
                self.everything_ends()
        finally:
            self.clear()

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

    # -- what people do ------------------------------------------------------------------------------

    @rule(name=consumers)
    def pause(self, name: str) -> None:
        """What was given before the pause is in hand; nothing comes after it."""
        self.pull(name)
        self.person.query("pause", daemon=name)
        known = self.known[name]
        known.paused = True
        if known.client is not None:
            known.client.nothing()  # two turns on, what had been given before is here
            while any(frames[0] == wire.DELIVER for frames in known.client.pushed):
                self.given(name)

    @rule(name=consumers)
    def paused_ones_get_nothing(self, name: str) -> None:
        known = self.known[name]
        if known.paused and known.client is not None:
            assert known.client.nothing()

    @rule(name=consumers)
    def resume(self, name: str) -> None:
        self.person.query("resume", daemon=name)
        self.known[name].paused = False

    @rule()
    def prune(self) -> None:
        self.person.query("prune", before_us=int(time.time() * 1e6))
        self.pruned = True

    def letters_of(self, wanted: set[str]) -> list[int]:
        return sorted(number for number, (_, consumer, _) in self.dead.items() if consumer in wanted)

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        numbers = self.letters_of(set(CREDIT))
        if numbers:
            number = data.draw(st.sampled_from(numbers))
            _, name, seq = self.dead.pop(number)
            assert name is not None
            assert seq is not None
            self.person.query("dead.replay", dead_letter_id=number)
            self.known[name].pending[seq] = 0
            self.known[name].waiting.add(seq)
            self.tally["replays"] += 1

    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        if self.dead:
            number = data.draw(st.sampled_from(sorted(self.dead)))
            self.person.query("dead.drop", dead_letter_id=number)
            del self.dead[number]
            assert self.person.refusal_of(wire.QUERY, {"what": "dead.replay", "dead_letter_id": number}) == "usage"

    def buried(self, reason: str, consumer: str | None, seq: int | None) -> None:
        self.letters += 1
        self.tally["dead letters"] += 1
        self.dead[self.letters] = (reason, consumer, seq)

    # -- kills ---------------------------------------------------------------------------------------

    def restart(self) -> None:
        self.tally["kills of the bus"] += 1
        self.bus.kill()
        self.home.running.remove(self.bus)
        self.bus = self.serve()
        self.person.close()
        self.person = Raw(self.home.paths)

    def back(self, name: str, *, keeping: bool) -> list[int]:
        """Attach again after the bus has gone, with or without what was in hand; what the bus calls settled."""
        known = self.known[name]
        if known.client is None:
            return []
        known.client.close()
        known.client = Raw(self.home.paths)
        kept = known.in_hand if keeping else {}
        held = [[given.lane, seq, given.header.get("generation", 0)] for seq, given in kept.items()]
        body = known.client.attach(name, in_hand=held)
        if not keeping:
            known.in_hand.clear()
        known.newest = 0
        return [seq for _, seq in body["settled"]]

    @rule(keeping=st.booleans())
    def kill_the_bus(self, keeping: bool) -> None:
        self.restart()
        for name in CREDIT:
            assert self.back(name, keeping=keeping) == []

    @rule(keeping=st.booleans())
    def kill_the_bus_over_an_emit(self, keeping: bool) -> None:
        """The answer is lost; sent again under its id, it is there once."""
        signal = self.make()
        self.person.send(wire.EMIT, b"lost", b"{}", encode(signal))
        self.restart()
        for name in CREDIT:
            self.back(name, keeping=keeping)
        (seq,) = self.person.emit(signal)
        self.journaled(seq, signal)

    @rule(name=consumers, data=st.data())
    def kill_the_bus_over_a_settle(self, name: str, data: st.DataObject) -> None:
        """Done or not done, never by halves: the bus says which, and the rest is sent again."""
        given, client = self.in_hand(name, data), self.attached(name)
        if given is None or client is None:
            return
        header, emits = self.answer_of(name, given)
        client.send(wire.SETTLE, b"lost", orjson.dumps(header), *map(encode, emits))
        self.restart()
        over = self.back(name, keeping=True)
        self.tally["lost answers, done" if over else "lost answers, not done"] += 1
        for other in CREDIT.keys() - {name}:
            self.back(other, keeping=True)
        client = self.attached(name)
        assert client is not None
        assert over in ([], [given.seq])
        if not over:
            client.call(wire.SETTLE, header, *map(encode, emits))
        self.settled(name, given, header, emits)

    # -- what must always be so ----------------------------------------------------------------------

    @invariant()
    def clients_are_heard(self) -> None:
        """As the frame does: a session that is not heard for a minute gives back what it holds."""
        for known in self.known.values():
            if known.client is not None:
                known.client.send(wire.BEAT, b"", b"{}")

    @invariant()
    def dead_letters_agree(self) -> None:
        if hasattr(self, "person"):
            found = {
                letter["dead_letter_id"]: (letter["reason"], letter.get("consumer"), letter["seq"])
                for letter in self.home.dead()
            }
            assert found == self.dead

    def everything_ends(self) -> None:
        """Who works off all that waits is given just that; journal and state are the model's."""
        for name in CREDIT:
            self.resume(name)
            self.attach(name)
        for name in ("eater", "watcher"):
            while self.known[name].pending:
                self.work_off(name)
        for name, known in self.known.items():
            assert known.client is not None
            assert known.client.nothing(), f"{name} was given more than it had to get"
            self.attach(name)
        kept = {int(signal.seq or 0): signal for signal in self.home.signals("Q_ITEM_SEEN", "Q_ITEM_DONE")}
        ours = {seq: signal for seq, signal in kept.items() if signal.facts["n"] >= 0}
        assert ours.keys() <= self.journal.keys()
        assert self.pruned or ours.keys() == self.journal.keys()
        assert all(signal.id == self.journal[seq].id for seq, signal in ours.items())

    def work_off(self, name: str) -> None:
        known = self.known[name]
        if not known.in_hand:
            self.given(name)
        for given in list(known.in_hand.values()):
            header, emits = self.answer_of(name, given)
            assert known.client is not None
            known.client.call(wire.SETTLE, header, *map(encode, emits))
            self.settled(name, given, header, emits)
