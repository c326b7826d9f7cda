"""A real bus beside a model of it that fits on a page: whatever is asked in whatever order, both must agree."""

from __future__ import annotations

import time

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from signals import wire
from signals.envelope import encode
from tests.model.working import CREDIT, Working, consumers
from tests.support.raw import Raw


class BusMachine(Working):
    """Beside the work: pauses, pruning, replay and kills of the bus, and what must hold after each act."""

    def teardown(self) -> None:
        try:
            if hasattr(self, "person"):
                self.everything_ends()
        finally:
            self.clear()

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
