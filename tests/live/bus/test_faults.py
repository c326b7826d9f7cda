"""Faults of the disk, the clock and the machine. If this fails, one bad moment costs a user acknowledged work."""

import os
import resource
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import zmq

from signals.envelope import Signal
from signals.ids import is_id
from tests.live.bus.conftest import acknowledged
from tests.support.constellation import Constellation, Running, constellation
from tests.support.raw import Raw, attached

ITEM = {"n": {"type": "integer"}}
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
DAY_S = 86_400


@pytest.fixture
def home(tmp_path):
    with constellation(tmp_path) as home:
        home.contract("Q_ITEM_SEEN", ITEM, example={"n": 1})
        late = ITEM | {"waited_s": {"type": "number"}, "expected": {"type": "array", "items": {"type": "string"}}}
        home.contract("Q_ITEM_LATE", late, kind="error", example={"n": 1, "waited_s": 1, "expected": ["Q_X"]})
        expects = {"answers": ["Q_ITEM_SEEN"], "within_s": 600, "timeout": "Q_ITEM_LATE", "copy": ["n"]}
        home.contract("Q_ITEM_WANTED", ITEM, kind="trigger", example={"n": 1}, expects=expects)
        home.manifest("eater", consumes=["Q_ITEM_SEEN"], in_flight=8)
        home.manifest("server", consumes=["Q_ITEM_WANTED"], emits=["Q_ITEM_SEEN"])
        yield home


@contextmanager
def failing(pid: int, *rules: str):
    """While this lasts, system calls of a process fail as strace's `inject` says."""
    command = ["strace", "-f", "-o", "/dev/null", "-p", str(pid), *rules]
    tracing = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracing.stderr is not None
    try:
        said = tracing.stderr.readline()
        if "attached" not in said:
            pytest.skip(f"nobody may trace here: {said}")
        yield
    finally:
        tracing.terminate()
        tracing.communicate(timeout=60)


def emit_until_gone(home: Constellation, bus: Running) -> tuple[int, Signal]:
    """How many emits were acknowledged before the bus was gone, and the one that was not."""
    with home.emitter(timeout_s=3.0) as emitter:
        for n in range(1000):
            item = emitter.signal("Q_ITEM_SEEN", {"n": n})
            while not acknowledged(emitter, item):
                if bus.process.poll() is not None:
                    return n, item
    raise AssertionError("the fault was never met")


@pytest.mark.parametrize(
    "rule",
    [
        "inject=fsync,fdatasync:error=EIO:when=5+",
        "inject=pwrite64:error=ENOSPC:when=9+",
        "inject=pwrite64:error=EIO:when=9+",
    ],
)
def test_a_disk_that_fails_under_an_emit_answers_nobody_and_loses_nothing_acknowledged(home, rule):
    """After a failed sync nobody can know what is on disk: an answer would be a lie, a second try a gamble."""
    bus = home.bus()
    with failing(bus.pid, "-e", rule):
        taken, unanswered = emit_until_gone(home, bus)
        assert bus.process.returncode == 1
    assert "cannot be written" in bus.tail()
    assert "Traceback" not in bus.tail()
    home.bus()
    assert [found.facts["n"] for found in home.signals("Q_ITEM_SEEN")][:taken] == list(range(taken))
    with home.emitter() as emitter:
        emitter.emit(unanswered)
    assert [found.facts["n"] for found in home.signals("Q_ITEM_SEEN")] == list(range(taken + 1))


def test_a_dead_letter_file_that_cannot_be_synced_ends_the_bus_in_words_and_is_completed_later(home):
    """A failure is a promise too: its line is there after the disk has recovered."""
    bus = home.bus()
    with Raw(home.paths) as person:
        person.query("status")
        with failing(bus.pid, "-P", str(home.paths.dead_letters), "-e", "inject=fsync:error=EIO"):
            person.send(b"emit", b"1", b"{}", b"no json at all")
            assert bus.process.wait(60) == 1
    assert "cannot be written" in bus.tail()
    assert "Traceback" not in bus.tail()
    home.bus()
    assert [letter["reason"] for letter in home.dead()] == ["malformed"]
    assert home.paths.dead_letters.read_bytes().count(b"\n") == 1


# -- clocks --------------------------------------------------------------------------------------------


class Clock:
    """The wall clock of one process, which a test can set; its monotonic clock goes on."""

    def __init__(self, folder: Path) -> None:
        if not FAKETIME.exists():
            pytest.skip("needs the Debian package libfaketime")
        self._file = folder / "clock"
        self.step(0)
        self.env = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: float) -> None:
        """From now on the clock is so much off."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+f}\n")
        fresh.rename(self._file)


@pytest.mark.parametrize("days", [-40, 40])
def test_a_clock_that_steps_while_the_bus_runs_ends_no_deadline_and_changes_no_order(home, tmp_path, days):
    """A machine whose battery is empty wakes up in another year, until the network tells it the time."""
    clock = Clock(tmp_path)
    bus = home.bus(**clock.env)
    with Raw(home.paths) as person, attached(home.paths, "server") as server:
        before = person.emit(person.make("Q_ITEM_SEEN", {"n": 1}))
        person.emit(person.make("Q_ITEM_WANTED", {"n": 2}))
        asked = server.given()
        clock.step(days * DAY_S)
        after = person.emit(person.make("Q_ITEM_SEEN", {"n": 3}))
        assert after > before
        status = person.query("status")
        assert status["open_deadlines"] == 1
        stamps = [found.received_at for found in home.signals("Q_ITEM_SEEN")][:2]
        assert (stamps[0] < stamps[1]) is (days > 0)  # the step was real
        clock.step(0)
        server.settle(asked)
        assert person.query("status")["open_deadlines"] == 1
    assert home.signals("Q_ITEM_LATE") == []
    assert bus.stop() == 0
    home.bus()
    with attached(home.paths, "eater") as eater:
        assert [eater.given().signal.facts["n"] for _ in range(2)] == [1, 3]


def test_a_clock_that_jumps_ahead_makes_the_bus_forget_nothing(home, tmp_path):
    """Else a wrong year, for a minute, would cost the month's stories, and the work of every daemon that is off."""
    clock = Clock(tmp_path)
    home.config("bus", {"disable": ["intent_router", "investigator", "capability_integrator"]})
    home.bus(**clock.env)
    with Raw(home.paths) as person:
        person.emit(*(person.make("Q_ITEM_SEEN", {"n": n}) for n in range(10)))
        clock.step(400 * DAY_S)
        for n in range(10, 610, 100):  # enough for a step of pruning
            person.emit(*(person.make("Q_ITEM_SEEN", {"n": n + k}) for k in range(100)))
        person.query("status")
        person.query("status")
        clock.step(0)
    assert [found.facts["n"] for found in home.signals("Q_ITEM_SEEN")] == list(range(610))


def test_a_daemon_with_a_wrong_clock_changes_neither_order_nor_retention(home):
    """Its stamps are its own; what the bus goes by is the order and the time in which signals came to it."""
    home.bus()
    stamps = ["1970-01-01T00:00:00.000000Z", "2999-12-31T23:59:59.000000Z", "2026-01-01T00:00:00.000000Z"]
    ids = [
        f"{digits}-7000-8000-0000000000{n:02d}"
        for n, digits in enumerate(["00000000-0000", "fffffffe-ffff", "01900000-0000"])
    ]
    assert all(is_id(one) for one in ids)
    with Raw(home.paths) as person:
        for n, (stamp, one) in enumerate(zip(stamps, ids, strict=True)):
            person.emit(person.make("Q_ITEM_SEEN", {"n": n}, id=one, timestamp=stamp))
        with attached(home.paths, "eater") as eater:
            for n in range(3):
                given = eater.given()
                assert (given.signal.facts["n"], given.signal.id, given.signal.timestamp) == (n, ids[n], stamps[n])
                eater.settle(given)
        person.query("prune", before_us=int((time.time() - 3600) * 1e6))
        person.query("status")
        person.query("status")
    kept = home.signals("Q_ITEM_SEEN")
    assert [found.facts["n"] for found in kept] == [0, 1, 2]
    assert len({str(found.received_at)[:4] for found in kept}) == 1


# -- descriptors ---------------------------------------------------------------------------------------


def test_a_bus_short_of_descriptors_serves_who_is_there_and_says_so(home):
    """A program that opens connections without end must not cost the others theirs, and be seen."""
    bus = home.bus()
    soft, hard = resource.prlimit(bus.pid, resource.RLIMIT_NOFILE)
    assert soft == min(hard, 1 << 20)  # more than the usual 1,024 that 1,000 connections would use up
    with Raw(home.paths) as person, attached(home.paths, "eater") as eater, zmq.Context() as context:
        resource.prlimit(bus.pid, resource.RLIMIT_NOFILE, (300, hard))
        with ExitStack() as stack:
            for _ in range(230):
                sock = stack.enter_context(context.socket(zmq.DEALER))
                sock.setsockopt(zmq.LINGER, 0)
                sock.connect(f"ipc://{home.paths.bus_socket}")
                sock.send_multipart([b"query", b"1", b'{"what":"status"}'])
                assert sock.poll(20_000)
            while "descriptors_short" not in bus.tail():
                person.query("status")
            seqs = person.emit(*(person.make("Q_ITEM_SEEN", {"n": n}) for n in range(5)))
            for seq in seqs:
                given = eater.given()
                assert given.seq == seq
                eater.settle(given)
        while "descriptors_again" not in bus.tail():
            person.query("status")
    assert bus.stop() == 0


def test_a_bus_whose_descriptors_are_used_up_loses_nothing_and_comes_back(home):
    """libzmq ends the process then; its supervisor starts it again, and clients go on where they were."""
    bus = home.bus()
    with home.emitter(timeout_s=30) as emitter, zmq.Context() as context:
        for n in range(5):
            emitter.emit(emitter.signal("Q_ITEM_SEEN", {"n": n}))
        open_now = len(os.listdir(f"/proc/{bus.pid}/fd"))
        resource.prlimit(bus.pid, resource.RLIMIT_NOFILE, (open_now + 4, open_now + 4))
        with ExitStack() as stack:
            for _ in range(10):
                sock = stack.enter_context(context.socket(zmq.DEALER))
                sock.setsockopt(zmq.LINGER, 0)
                sock.connect(f"ipc://{home.paths.bus_socket}")
            assert bus.process.wait(60) == -signal.SIGABRT
        assert "Too many open files" in bus.tail()
        home.bus()
        emitter.emit(emitter.signal("Q_ITEM_SEEN", {"n": 5}))
    assert [found.facts["n"] for found in home.signals("Q_ITEM_SEEN")] == list(range(6))
