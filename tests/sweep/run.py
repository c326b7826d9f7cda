"""One run of a bus that does everything which writes: every act on the disk recorded, every promise noted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from signals import wire
from signals.ids import uuid7
from tests.support.constellation import Constellation
from tests.support.inprocess import law_of
from tests.support.power import Act, Disk
from tests.sweep.facts import Fact, Witnessed
from tools.ligand.backup import Backup, backup, verify

ITEM = {"n": {"type": "integer"}, "pad": {"type": "string"}}
LATE = {
    "n": {"type": "integer"},
    "waited_s": {"type": "number"},
    "expected": {"type": "array", "items": {"type": "string"}},
}
CHECKPOINT_PAGES = 60
WITHIN_S = 600.0


def furnish(home: Constellation) -> Constellation:
    """Contracts and manifests: a worker, one who only listens, one who answers requests, one who never comes."""
    for name in ("Q_ITEM_SEEN", "Q_ITEM_DONE", "Q_ITEM_GIVEN"):
        home.contract(name, ITEM, optional=["pad"], example={"n": 1})
    home.contract("Q_ITEM_LATE", LATE, kind="error", example={"n": 1, "waited_s": 1, "expected": ["Q_X"]})
    expects = {"answers": ["Q_ITEM_GIVEN"], "within_s": WITHIN_S, "timeout": "Q_ITEM_LATE", "copy": ["n"]}
    home.contract("Q_ITEM_WANTED", ITEM, optional=["pad"], kind="trigger", example={"n": 1}, expects=expects)
    home.manifest("eater", consumes=["Q_ITEM_SEEN"], emits=["Q_ITEM_DONE"], in_flight=4)
    home.manifest("watcher", consumes=["Q_ITEM_SEEN", "Q_ITEM_DONE"], in_flight=8)
    home.manifest("server", consumes=["Q_ITEM_WANTED"], emits=["Q_ITEM_GIVEN"], in_flight=4)
    home.manifest("laggard", consumes=["Q_ITEM_SEEN"])
    return home


@dataclass
class Recorded:
    """All that happened in a run. `marks`: at which act a chapter begins that is sometimes swept alone."""

    home: Constellation
    acts: list[Act]
    facts: list[Fact]
    marks: dict[str, int] = field(default_factory=dict)
    backup: Backup | None = None


class Script:
    """The run itself, step by step."""

    def __init__(self, folder: Path, synchronous: str) -> None:
        self.home = furnish(Constellation(folder))
        self.law = law_of(self.home)
        self.disk = Disk(self.home.paths.journal.parent)
        self.facts: list[Fact] = []
        self.marks: dict[str, int] = {}
        self.synchronous = synchronous
        self.counts = {"eater": 0, "watcher": 0, "server": 0}
        self.n = 0

    def start(self) -> Witnessed:
        bus = Witnessed(self.disk, self.facts, self.home, synchronous=self.synchronous, law=self.law)
        bus.store.db.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        for daemon in self.counts:
            bus.attach(daemon)
        return bus

    def mark(self, name: str) -> None:
        self.marks[name] = len(self.disk.acts)

    def emit(self, bus: Witnessed, name: str = "Q_ITEM_SEEN", count: int = 1, pad: int = 100) -> None:
        signals = []
        for _ in range(count):
            self.n += 1
            signals.append(bus.make("person@root", name, {"n": self.n, "pad": "x" * pad}, id=uuid7()))
        bus.send(*signals)

    def settle(self, bus: Witnessed, daemon: str, gives: str | None = None, *verdicts: str) -> int:
        """Settle what was delivered: the first by these verdicts, the rest acknowledged."""
        given = bus.given(daemon)
        for verdict, one in zip(verdicts, given, strict=False):
            bus.failed(daemon, one, verdict)
        for one in given[len(verdicts) :]:
            self.counts[daemon] += 1
            bus.handled(daemon, one, gives, self.counts[daemon])
        return len(given)

    def drain(self, bus: Witnessed) -> None:
        """Until nobody has anything in hand."""
        while sum(
            [
                self.settle(bus, "eater", "Q_ITEM_DONE"),
                self.settle(bus, "watcher"),
                self.settle(bus, "server", "Q_ITEM_GIVEN"),
            ]
        ):
            bus.turn()

    # -- chapters ------------------------------------------------------------------------------------

    def emits_and_settles(self, bus: Witnessed) -> None:
        for count in (1, 3, 1):
            self.emit(bus, count=count)
            bus.turn()
        self.emit(bus)
        self.emit(bus, count=2)  # two requests in one commit
        self.settle(bus, "eater", "Q_ITEM_DONE")
        bus.turn()
        self.drain(bus)

    def failures(self, bus: Witnessed) -> None:
        self.emit(bus, count=4)
        bus.turn()
        self.settle(bus, "eater", "Q_ITEM_DONE", wire.NAK, wire.REJECT)
        bus.refused(b'{"signal":"Q_NO_SUCH","facts":1}')
        bus.turn()
        bus.refused(b"no json at all")
        bus.turn()
        for _ in range(4):
            bus.turn(130.0)
            self.settle(bus, "eater", "Q_ITEM_DONE", wire.NAK)
            bus.turn()
        self.drain(bus)
        number = next(n for n, (_, consumer, _) in self.letters(bus).items() if consumer == "eater")
        bus.person("dead.replay", lambda found: True, dead_letter_id=number)
        bus.turn()
        self.drain(bus)

    def letters(self, bus: Witnessed) -> dict[int, tuple[str, str | None, int | None]]:
        rows = bus.store.db.execute("SELECT number, reason, consumer, seq FROM dead ORDER BY number")
        return {number: (reason, consumer, seq) for number, reason, consumer, seq in rows}

    def deadlines(self, bus: Witnessed) -> None:
        self.mark("deadlines")
        self.emit(bus, "Q_ITEM_WANTED", count=2)
        bus.turn()
        self.emit(bus, "Q_ITEM_WANTED")
        bus.turn()
        answered, *_ = bus.given("server")
        self.counts["server"] += 1
        bus.handled("server", answered, "Q_ITEM_GIVEN", self.counts["server"])
        bus.turn(WITHIN_S / 2)
        bus.person(
            "pause", lambda found: "server" in found.bus.state.paused or self.resumed <= found.cut, daemon="server"
        )
        bus.turn(60.0)
        self.resumed = len(self.disk.acts)
        bus.person("resume", lambda found: "server" not in found.bus.state.paused, daemon="server")
        bus.turn()
        self.emit(bus, "Q_ITEM_WANTED")
        bus.turn(WITHIN_S)
        self.drain(bus)

    resumed = 1 << 60

    def crash_of_a_daemon(self, bus: Witnessed) -> None:
        self.emit(bus, count=3)
        bus.turn()
        bus.given("eater")
        bus.crash("eater")
        bus.attach("eater")
        self.drain(bus)

    def make_room(self, bus: Witnessed) -> None:
        """Pressure: the laggard's oldest become dead letters, whole, in the file only; then pruning by size."""
        for _ in range(12):
            self.emit(bus, count=2, pad=6000)
            bus.turn()
            self.drain(bus)
        used = bus.state.used_bytes()
        bus.housekeeping.limits = replace(bus.housekeeping.limits, budget_bytes=int(used / 0.91))
        for _ in range(4):
            self.emit(bus, pad=3000)
            bus.housekeeping.due_now("prune")
            bus.turn()
            self.drain(bus)
        assert any(reason == "pressure" for reason, _, _ in self.letters(bus).values())

    def prune_signals(self, bus: Witnessed) -> None:
        self.emit(bus)
        bus.housekeeping.prune_before(int(time.time() * 1e6))
        bus.turn()
        bus.housekeeping.due_now("prune")
        bus.turn()

    def prune_letters(self, bus: Witnessed) -> None:
        """In one turn with a settle: pruning must not commit the half of that."""
        self.emit(bus, count=3)
        bus.turn()
        self.mark("prune_letters")
        self.settle(bus, "eater", "Q_ITEM_DONE", wire.REJECT)
        bus.housekeeping.limits = replace(bus.housekeeping.limits, dead_budget_bytes=bus.dead.file_bytes() // 2)
        bus.housekeeping.due_now("dead")
        bus.turn()
        self.settle(bus, "watcher")
        bus.refused(b"once more no json")
        bus.turn()
        self.drain(bus)

    def back_up(self, bus: Witnessed) -> Backup:
        self.emit(bus, count=2)
        bus.turn()
        found = backup(self.home.paths, self.home.home / "backup")
        self.drain(bus)
        return found

    def play(self) -> Recorded:
        """All chapters, with a kill and a clean restart between."""
        with self.disk.recording():
            bus = self.start()
            self.emits_and_settles(bus)
            self.failures(bus)
            bus.close()  # as by SIGKILL
            bus = self.start()
            self.deadlines(bus)
            self.crash_of_a_daemon(bus)
            found = self.back_up(bus)
            self.make_room(bus)
            bus.core.keep_time()
            bus.core.commit()
            bus.store.close()  # as by SIGTERM
            bus.dead.close()
            for session in bus.state.sessions:
                bus.state.sessions.remove(session)
            bus = self.start()
            self.prune_signals(bus)
            self.prune_letters(bus)
            self.emits_and_settles(bus)
            bus.close()
        verify(found.folder)
        return Recorded(self.home, self.disk.acts, self.facts, self.marks, found)


def record(folder: Path, synchronous: str = "FULL") -> Recorded:
    """Play the script in `folder`."""
    return Script(folder, synchronous).play()
