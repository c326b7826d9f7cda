"""Cut the power before an act on the disk, start a fresh core on what is left, and hold it against every promise."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import orjson

from services.bus.registry import Registry
from signals.catalogue import Catalogue
from signals.checksums import connect
from signals.envelope import Signal
from signals.errors import LigandError
from signals.ids import derive
from signals.journal import Journal
from tests.support.inprocess import InProcess, law_of
from tests.support.power import VARIANTS, Act, Cut, Disk
from tests.support.raw import Given
from tests.sweep.facts import Found
from tests.sweep.run import WITHIN_S, Recorded

ENDS = {"Q_ITEM_GIVEN", "Q_ITEM_LATE"}
WORKERS = ("eater", "watcher")
Law = tuple[Catalogue, Registry]


@dataclass
class Report:
    """What was tried, and what was found wrong: (act, variant, words)."""

    acts: int
    facts: int
    points: int = 0
    recoveries: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.points} cut points of {self.acts} acts on the disk, {self.recoveries} recoveries, checked:"]
        lines += [f"  {count:>9,} × {what}" for what, count in self.checked.most_common()]
        lines += [f"{len(self.findings)} findings"]
        lines += [f"  before act {cut} ({variant}): {words}" for cut, variant, words in self.findings[:20]]
        return "\n".join(lines)


class Sweep:
    """Goes through the acts of one recorded run."""

    def __init__(self, recorded: Recorded, seed: int) -> None:
        self._recorded = recorded
        self._seed = seed
        self._law = law_of(recorded.home)
        self.report = Report(len(recorded.acts), len(recorded.facts))

    def points(self, count: int | None) -> list[int]:
        """`count` of all cut points, evenly spread from a random beginning; all without a count."""
        every = range(len(self._recorded.acts) + 1)
        if count is None or count >= len(every):
            return list(every)
        step = len(every) / count
        begin = random.Random(self._seed).random() * step
        return sorted({int(begin + n * step) for n in range(count)})

    def go(self, points: Iterable[int], variants: Iterable[str] = VARIANTS) -> Report:
        """Try each variant of a cut at each of these points, which ascend."""
        cut, variants = Cut(self._recorded.acts), tuple(variants)
        for point in points:
            cut.upto(point)
            self.report.points += 1
            for variant in variants:
                chance = random.Random(f"{self._seed} {point} {variant}")
                self._recover(point, variant, cut.files(variant, chance))
        return self.report

    def _recover(self, point: int, variant: str, files: dict[str, bytes]) -> None:
        """Start on what is left, check; then cut the power once more while that start was still at work, and check."""
        acts = self._start_on(point, variant, files)
        chance = random.Random(f"{self._seed} {point} {variant} again")
        again = Cut(acts, files)
        again.upto(chance.randint(0, len(acts)))
        second = chance.choice(VARIANTS)
        self._start_on(point, f"{variant}, then {second} at the start", again.files(second, chance))

    def _start_on(self, point: int, variant: str, files: dict[str, bytes]) -> list[Act]:
        """Leave these files in the home, start a core there and check; what that start did on the disk."""
        self.report.recoveries += 1
        state = self._recorded.home.paths.journal.parent
        shutil.rmtree(state)
        state.mkdir()
        for path, content in files.items():
            Path(path).write_bytes(content)
        disk = Disk(state)
        with disk.recording():
            recovery = Recovery(self._recorded, self._law, disk, point, self.report.checked)
            for words in recovery.wrong():
                self.report.findings.append((point, variant, words))
        return disk.acts[: recovery.started]


class Recovery:
    """A fresh core on the files that a power cut has left."""

    def __init__(self, recorded: Recorded, law: Law, disk: Disk, point: int, checked: Counter[str]) -> None:
        self._home = recorded.home
        self._law = law
        self._disk = disk
        self._recorded = recorded
        self._point = point
        self._checked = checked
        self.started = 0

    def wrong(self) -> Iterator[str]:
        """Everything that is wrong, in words."""
        try:
            with closing(InProcess(self._home, law=self._law)) as bus:
                self.started = len(self._disk.acts)
                yield from self._integrity(bus)
                yield from self._promises(Found(bus, self._point))
                yield from self._letters()
                yield from self._goes_on(bus)
        except (apsw.Error, LigandError, OSError, LookupError, ValueError) as error:
            yield f"cannot be recovered: {type(error).__name__}: {error}"

    def _integrity(self, bus: InProcess) -> Iterator[str]:
        self._checked["PRAGMA integrity_check"] += 1
        said = [row[0] for row in bus.store.db.execute("PRAGMA integrity_check(3)")]
        if said != ["ok"]:
            yield f"integrity_check: {said}"

    def _promises(self, found: Found) -> Iterator[str]:
        asked = [fact for fact in self._recorded.facts if fact.asked <= self._point]
        self._checked["a request is there whole if acknowledged, else whole or not at all"] += len(asked)
        for fact in asked:
            words = fact.broken(found, self._point)
            if words is not None:
                yield words

    def _letters(self) -> Iterator[str]:
        """The dead-letter table and its file say the same."""
        self._checked["dead-letter table and file agree"] += 1
        with closing(connect(self._home.paths.journal)) as db:
            rows = [number for (number,) in db.execute("SELECT number FROM dead ORDER BY number")]
        try:
            lines = [orjson.loads(line) for line in self._home.paths.dead_letters.read_bytes().splitlines()]
        except ValueError as error:
            yield f"a line of the dead-letter file cannot be read: {error}"
            return
        numbers = [line["dead_letter_id"] for line in lines]
        if sorted(numbers) != rows:
            yield f"dead letters in the table {rows}, in the file {numbers}"
        with Journal(self._home.paths.journal) as journal:
            for letter in journal.dead(("dead", "replayed", "dropped")):
                if "reason" not in letter:
                    yield f"dead letter {letter['dead_letter_id']} has lost its line"

    # -- going on ------------------------------------------------------------------------------------

    def _goes_on(self, bus: InProcess) -> Iterator[str]:
        """The constellation works on: every root has one end, every request one answer or one time-out."""
        self._checked["worked to its end, each root and each request ends once"] += 1
        if bus.state.paused:
            bus.query("resume", daemon="*")
        for daemon in (*WORKERS, "server"):
            bus.attach(daemon)
        self._work(bus, WORKERS)
        bus.given("server")
        bus.turn(3 * WITHIN_S)
        self._work(bus, WORKERS)
        yield from self._ends(Found(bus, self._point))

    def _work(self, bus: InProcess, daemons: tuple[str, ...]) -> None:
        busy = True
        while busy:
            busy = False
            for daemon in daemons:
                for given in bus.given(daemon):
                    busy = True
                    self._settle(bus, daemon, given)
            bus.turn(200.0 if any(bus.state.lanes[d].asides for d in daemons) else 0.0)

    def _settle(self, bus: InProcess, daemon: str, given: Given) -> None:
        count = int(bus.store.states.of(daemon).get("count", b"0"))
        bus.settle(daemon, given, *_child(bus, daemon, given), put={"count": count + 1})

    def _ends(self, found: Found) -> Iterator[str]:
        children = Counter((e.get("causation_id"), e["source"]) for e in found.signals)
        answers = Counter(e["causation_id"] for e in found.signals if e["signal"] in ENDS)
        given_up = {seq for _, consumer, seq in found.dead.values() if consumer == "eater"}
        for envelope in found.signals:
            ends, seq = children[envelope["id"], "eater"], envelope["seq"]
            may_lack = seq in given_up or found.forgotten() > 0
            if envelope["signal"] == "Q_ITEM_SEEN" and (ends > 1 or not (ends or may_lack)):
                yield f"#{seq} has {ends} ends"
            if envelope["signal"] == "Q_ITEM_WANTED" and answers[envelope["id"]] != 1:
                yield f"the request #{seq} has {answers[envelope['id']]} answers and time-outs"
        for daemon in WORKERS:
            if lag := found.bus.state.lag_of(found.bus.state.lanes[daemon]):
                yield f"{daemon} is left with {lag} signals"


def _child(bus: InProcess, daemon: str, given: Given) -> list[Signal]:
    """What the worker emits: under the same id after a crash."""
    if daemon != "eater":
        return []
    cause, name = given.signal.id, "Q_ITEM_DONE"
    child = derive(cause, daemon, int(given.header.get("generation", 0)), name, 0)
    return [bus.make(daemon, name, {"n": given.signal.facts["n"]}, id=child, causation_id=cause)]
