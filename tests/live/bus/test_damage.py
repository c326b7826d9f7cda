"""A journal whose bytes have changed on the disk. If this fails, a person loses more than the disk has lost, unsaid."""

import random
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from signals.checksums import connect
from signals.journal import Journal
from tests.support.commands import run
from tests.support.constellation import Constellation, constellation
from tests.support.raw import Raw, attached

ITEM = {"n": {"type": "integer"}, "pad": {"type": "string"}}
PAGE = 4096
COUNT, HANDLED, REJECTED = 600, 200, 3
INTERIOR, INDEX = 0x05, 0x0A


@dataclass
class Past:
    """A home whose bus was killed, one whose bus was stopped, and what its consumer has settled."""

    killed: Path
    stopped: Path
    roots: set[int]
    settled: set[int]
    head: int


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    """A worker has handled a third of what was emitted, and given some up."""
    home = Constellation(tmp_path_factory.mktemp("past") / "home")
    home.home.mkdir()
    home.contract("Q_ITEM_SEEN", ITEM, example={"n": 1, "pad": ""})
    home.manifest("eater", consumes=["Q_ITEM_SEEN"], in_flight=8)
    bus = home.bus()
    roots: set[int] = set()
    settled: set[int] = set()
    try:
        with Raw(home.paths) as person, attached(home.paths, "eater") as eater:
            for n in range(0, COUNT, 20):
                items = [person.make("Q_ITEM_SEEN", {"n": n + k, "pad": "x" * 1500}) for k in range(20)]
                roots |= set(person.emit(*items))
            for n in range(HANDLED):
                given = eater.given()
                eater.settle(given, verdict="reject" if n < REJECTED else "ack", put={"count": n})
                settled.add(given.seq)
        bus.kill()
        killed = _copy(home.home, home.home.parent / "killed")
        home.running.remove(bus)
        home.bus().stop()
        with closing(connect(home.paths.journal)) as db:
            head = db.execute("SELECT max(seq) FROM signal").get
        yield Past(killed, _copy(home.home, home.home.parent / "stopped"), roots, settled, head)
    finally:
        home.close()


def _copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("run", "*.log"))
    return target


def pages_of(journal: Path, kind: int, holding: bytes = b"") -> list[int]:
    """The offsets of the pages of a kind, which hold some bytes."""
    raw = journal.read_bytes()
    return [at for at in range(PAGE, len(raw), PAGE) if raw[at] == kind and holding in raw[at : at + PAGE]]


def signal_leaves(journal: Path) -> list[int]:
    """The offsets of the pages that hold the rows of signals, in their order."""
    with closing(connect(journal)) as db:
        found = db.execute("SELECT pageno FROM dbstat WHERE name = 'signal' AND pagetype = 'leaf' ORDER BY path")
        return [(page - 1) * PAGE for (page,) in found]


def spoil(path: Path, *places: int, size: int = 200) -> None:
    with path.open("r+b") as file:
        for place in places:
            file.seek(place)
            before = file.read(size)
            file.seek(place)
            file.write(bytes(byte ^ 0x55 for byte in before))


def refused(home: Constellation) -> None:
    """The bus does not start, and says what to do."""
    before = home.paths.journal.read_bytes()
    bus = home.start("bus", "-m", "services.bus")
    assert bus.process.wait(60) == 78
    assert "is damaged" in bus.tail()
    assert "ligand journal salvage" in bus.tail()
    assert "Traceback" not in bus.tail()
    assert home.paths.journal.read_bytes() == before


def salvaged(home: Constellation) -> dict:
    done = run("ligand", home.home, "journal", "salvage", "-o", "json")
    assert done.code == 0, done.err
    return dict(done.objects[0])


def lost_of(found: dict) -> set[int]:
    return {seq for first, last in found["lost"] for seq in range(first, last + 1)}


def given_now(home: Constellation, count: int) -> list[int]:
    """All that the worker is given after a start; it settles everything."""
    home.bus()
    seqs = []
    with attached(home.paths, "eater") as eater:
        for _ in range(count):
            given = eater.given()
            seqs.append(given.seq)
            eater.settle(given)
        assert eater.nothing()
    return seqs


def goes_on(home: Constellation, past: Past, found: dict) -> None:
    """What is left is given once, what was settled is not given again, and new numbers follow the old."""
    left = past.roots - past.settled - lost_of(found)
    assert given_now(home, len(left)) == sorted(left)
    with Raw(home.paths) as person:
        assert person.emit(person.make("Q_ITEM_SEEN", {"n": 0, "pad": ""}))[0] > found["head"]
    assert {letter["reason"] for letter in home.dead()} == {"rejected"}


@pytest.mark.parametrize(
    "what",
    [
        "first page",
        "a leaf",
        "first leaf",
        "last leaf",
        "some leaves",
        "in a text on a leaf",
        "an inner page",
        "an index",
        "consumers",
    ],
)
def test_a_page_with_flipped_bytes_is_refused_and_salvaged_around(tmp_path, past, what):
    """One bad page must cost what was on it, and neither the month around it nor a second handling of the rest."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with constellation(_copy(past.stopped, tmp_path / "home")) as home:
        journal = home.paths.journal
        leaves = signal_leaves(journal)
        places = {
            "first page": [100],
            "a leaf": chance.sample(leaves, 1),
            "first leaf": leaves[:1],
            "last leaf": leaves[-1:],
            "some leaves": chance.sample(leaves, 5),
            "in a text on a leaf": [chance.choice(leaves) + 2500],
            "an inner page": pages_of(journal, INTERIOR),
            "an index": pages_of(journal, INDEX)[-1:],
            "consumers": pages_of(journal, INDEX, b"eatereater"),
        }[what]
        assert places
        spoil(journal, *places)
        damaged = journal.read_bytes()
        refused(home)
        dry = run("ligand", home.home, "journal", "salvage", "--dry-run", "--home", str(home.home))
        assert dry.code == 0, dry.err
        assert journal.read_bytes() == damaged
        found = salvaged(home)
        assert (Path(found["kept_aside"]) / "journal.db").read_bytes() == damaged
        lost = lost_of(found)
        assert len(lost) <= {"some leaves": 50}.get(what, 10 if "leaf" in what else 0)
        assert bool(lost) == ("lea" in what)
        assert what != "first leaf" or 1 in lost
        assert what != "last leaf" or past.head in lost
        if what == "consumers":
            assert "consumer" in found["incomplete"]
            home.bus()
        else:
            goes_on(home, past, found)


@pytest.mark.parametrize("what", ["a frame", "header"])
def test_a_write_ahead_log_with_flipped_bytes_is_refused_and_salvaged_around(tmp_path, past, what):
    """SQLite drops a log from its first bad frame on and says nothing: acknowledged signals would be gone unsaid."""
    with constellation(_copy(past.killed, tmp_path / "home")) as home:
        log = home.paths.journal.with_name("journal.db-wal")
        frames = (log.stat().st_size - 32) // (PAGE + 24)
        assert frames > 20
        spoil(log, 8 if what == "header" else 32 + (PAGE + 24) * (frames // 2) + 500, size=8)
        refused(home)
        found = salvaged(home)
        assert found["log_frames_damaged"] >= 1
        assert found["signals"] + len(lost_of(found)) >= COUNT
        assert len(lost_of(found)) <= 10
        goes_on(home, past, found)


def test_a_torn_end_of_the_log_is_no_damage(tmp_path, past):
    """A power cut leaves the last, unacknowledged transaction in pieces: that must start without a person."""
    with constellation(_copy(past.killed, tmp_path / "home")) as home:
        log = home.paths.journal.with_name("journal.db-wal")
        spoil(log, log.stat().st_size - 100, size=50)
        home.bus()


@pytest.mark.parametrize("where", [b'"facts":{', b"xxxx"])
def test_damage_that_shows_while_the_bus_runs_ends_it_in_words(tmp_path, past, where):
    """A worker must not be given what nobody sent, and the bus must not restart in a loop over it."""
    with constellation(_copy(past.stopped, tmp_path / "home")) as home:
        with Journal(home.paths.journal) as journal:
            raw = next(raw for seq, raw in journal.walk() if seq in past.roots - past.settled)
        at = home.paths.journal.read_bytes().index(raw[:200])
        bus = home.start("bus", "-m", "services.bus").ready()
        spoil(home.paths.journal, at + raw.index(where), size=4)
        with Raw(home.paths) as eater:
            eater.send(b"attach", b"1", b'{"protocol":1,"daemon":"eater"}')
            assert bus.process.wait(60) == 78
        assert "ligand journal salvage" in bus.tail()
        assert "Traceback" not in bus.tail()


def test_salvage_is_refused_where_it_is_not_wanted(tmp_path, past):
    """It must not be run under a bus, nor replace a journal that is whole."""
    with constellation(_copy(past.stopped, tmp_path / "home")) as home:
        whole = run("ligand", home.home, "journal", "salvage")
        assert whole.code == 2
        assert "nothing to salvage" in whole.err
        home.bus()
        assert "Stop it first" in run("ligand", home.home, "journal", "salvage").err
