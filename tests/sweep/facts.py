"""What a client was promised, and how a journal that was recovered is held against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from signals import wire
from signals.envelope import Signal, encode
from signals.ids import derive
from tests.support.inprocess import ME, InProcess
from tests.support.power import Disk
from tests.support.raw import Given

Holds = Callable[["Found"], bool]


@dataclass
class Fact:
    """A request: at which act on the disk it was asked and answered (None: never), and what makes it true.

    `done` says that all of it is on disk, `undone` that nothing of it is. Between those lies a torn transaction.
    """

    what: str
    asked: int
    done: Holds
    undone: Holds
    answered: int | None = None
    seqs: tuple[int, ...] = ()

    def broken(self, found: Found, cut: int) -> str | None:
        """What is wrong with it after a power cut before act `cut`; None when nothing is."""
        if self.asked > cut:
            return None
        if self.answered is not None and self.answered <= cut:
            return None if self.done(found) else f"acknowledged, but missing: {self.what}"
        return None if self.done(found) or self.undone(found) else f"done by halves: {self.what}"


class Found:
    """What a fresh core finds in a recovered home."""

    def __init__(self, bus: InProcess, cut: int) -> None:
        self.bus = bus
        self.cut = cut
        rows: list[Any] = bus.store.db.execute("SELECT envelope FROM signal ORDER BY seq").fetchall()
        self.signals = [orjson.loads(raw) for (raw,) in rows]
        self.by_id = {envelope["id"]: envelope for envelope in self.signals}
        self.pruned_to = int(bus.store.meta("pruned_to", 0))
        self.dead = {
            int(number): (reason, consumer, seq)
            for number, reason, consumer, seq in bus.store.db.execute("SELECT number, reason, consumer, seq FROM dead")
        }
        self.last_dead = bus.store.dead.last()

    def has(self, signal_id: str, seq: int | None) -> bool:
        """Whether a signal is kept, or was pruned after all had settled it."""
        return signal_id in self.by_id or (seq is not None and seq <= self.pruned_to)

    def settled(self, consumer: str, seq: int) -> bool:
        return self.bus.state.lanes[consumer].is_settled(seq)

    def given_up(self, consumer: str, seq: int) -> bool:
        """Settled; or, after its dead letter was replayed, waiting once more."""
        aside = self.bus.state.lanes[consumer].asides.get(seq)
        return self.settled(consumer, seq) or (aside is not None and bool(aside.replayed))

    def state(self, daemon: str, key: str) -> Any:
        raw = self.bus.store.states.of(daemon).get(key)
        return None if raw is None else orjson.loads(raw)

    def buried(self, reason: str, consumer: str | None, seq: int | None) -> bool:
        """Whether a dead letter of this kind is kept, or as old ones were pruned may have been."""
        return (reason, consumer, seq) in self.dead.values() or self.forgotten() > 0

    def forgotten(self) -> int:
        """The highest number of a dead letter that was pruned."""
        return min(self.dead, default=self.last_dead + 1) - 1

    def attempts(self, consumer: str, seq: int) -> int:
        aside = self.bus.state.lanes[consumer].asides.get(seq)
        return aside.attempts if aside else 0


class Witnessed(InProcess):
    """A core whose answers are noted with the act on the disk before which they were given."""

    def __init__(self, disk: Disk, facts: list[Fact], *arguments: Any, **options: Any) -> None:
        self.disk = disk
        self.facts = facts
        self._asked: dict[bytes, Fact] = {}
        self._number = 0
        super().__init__(*arguments, **options)

    def turn(self, seconds: float = 0.0) -> None:
        """As the server's: time, housekeeping, commit, delivery."""
        self.clock.at += seconds
        for _ in range(2):
            self.core.expiry.pass_time()
            if hasattr(self, "housekeeping"):
                self.housekeeping.step()
            self.core.commit()
            self.core.delivering.deliver()
            self.core.commit()

    def told(self, identity: bytes, frames: list[bytes]) -> None:
        fact = self._asked.pop(frames[1], None) if frames[0] in (wire.OK, wire.NO) else None
        if fact is not None:
            fact.answered = len(self.disk.acts)
            if frames[0] == wire.OK and isinstance(body := orjson.loads(frames[2]), list):
                fact.seqs = tuple(body)
        super().told(identity, frames)

    def ask(self, who: str, op: bytes, header: dict[str, Any], raws: list[bytes], fact: Fact) -> Fact:
        """Send a request; it is answered with the next turn."""
        self._number += 1
        number = b"%d" % self._number
        self._asked[number] = fact
        self.facts.append(fact)
        self.core.receive(who.encode(), ME, [op, number, orjson.dumps(header), *raws])
        return fact

    def fact(self, what: str, done: Holds, undone: Holds) -> Fact:
        return Fact(what, len(self.disk.acts), done, undone)

    # -- what clients ask ----------------------------------------------------------------------------

    def send(self, *signals: Signal) -> Fact:
        """A person's emit: all of it or nothing."""
        ids = [signal.id for signal in signals]
        fact = self.fact(f"emit of {len(ids)} {signals[0].signal}", lambda _: True, lambda _: True)
        fact.done = lambda found: all(found.has(i, fact.seqs[n] if fact.seqs else None) for n, i in enumerate(ids))
        fact.undone = lambda found: not any(i in found.by_id for i in ids)
        return self.ask("person@root", wire.EMIT, {}, [encode(signal) for signal in signals], fact)

    def refused(self, raw: bytes) -> Fact:
        """An emit that is refused: its dead letter is as sure as an acknowledgement."""
        letters = self.store.dead.last()
        fact = self.fact("refused emit", lambda found: found.last_dead > letters, lambda found: True)
        return self.ask("person@root", wire.EMIT, {}, [raw], fact)

    def handled(self, daemon: str, given: Given, gives: str | None, count: int) -> Fact:
        """An acknowledgement with an emit and a counter that is put: one step."""
        child = derive(given.signal.id, daemon, int(given.header.get("generation", 0)), gives or "", 0)
        fields = {"id": child, "causation_id": given.signal.id}
        signals = [self.make(daemon, gives, {"n": given.signal.facts["n"]}, **fields)] if gives else []
        fact = self.fact(
            f"settle of {given.seq} by {daemon}",
            lambda found: (
                found.settled(daemon, given.seq)
                and (not signals or found.has(child, given.seq))
                and (found.state(daemon, "count") or 0) >= count
            ),
            lambda found: (
                not found.settled(daemon, given.seq)
                and child not in found.by_id
                and (found.state(daemon, "count") or 0) < count
            ),
        )
        header = {"lane": given.lane, "seq": given.seq, "verdict": wire.ACK, "put": {"count": count}}
        return self.ask(daemon, wire.SETTLE, header, [encode(signal) for signal in signals], fact)

    def failed(self, daemon: str, given: Given, verdict: str) -> Fact:
        """A nak, which counts an attempt, or a reject, which makes a dead letter."""
        attempt = int(given.header.get("attempt", 1))
        if verdict == wire.REJECT:
            fact = self.fact(
                f"reject of {given.seq} by {daemon}",
                lambda found: found.given_up(daemon, given.seq) and found.buried("rejected", daemon, given.seq),
                lambda found: (
                    not found.settled(daemon, given.seq) and ("rejected", daemon, given.seq) not in found.dead.values()
                ),
            )
        else:
            fact = self.fact(
                f"nak {attempt} of {given.seq} by {daemon}",
                lambda found: found.attempts(daemon, given.seq) >= attempt or found.settled(daemon, given.seq),
                lambda found: found.attempts(daemon, given.seq) < attempt,
            )
        header = {"lane": given.lane, "seq": given.seq, "verdict": verdict, "error": "no"}
        return self.ask(daemon, wire.SETTLE, header, [], fact)

    def person(self, what: str, done: Holds, **fields: Any) -> Fact:
        """What a person asks of the bus: pause, resume, replay."""
        fact = self.fact(what, done, lambda _: True)
        return self.ask("person@root", wire.QUERY, {"what": what, **fields}, [], fact)
