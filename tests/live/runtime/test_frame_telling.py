"""What a daemon says of itself, and how often. If this fails, nobody notices one that hangs, or it tells too much."""

import contextlib

import orjson

from signals.live import Subscription
from tests.live.runtime.conftest import start, until, want
from tests.support.raw import attached


def test_a_daemon_over_its_quota_waits_instead_of_failing(home):
    """A burst of a daemon's own signals is slowed, not lost, and the daemon not restarted."""
    home.config("bus", {"quota": {"roots_per_s": 5, "burst": 1}})
    home.bus()
    worker = start(home).ready()
    home.wait_for("Q_TICK_TOLD")
    assert worker.process.poll() is None


def test_the_watchdog_is_fed_by_the_working_loop_only(home, person):
    """A daemon that hangs must be noticed and killed by systemd, not kept alive by a helper."""
    worker = start(home, WATCHDOG_USEC="200000")
    worker.heard("WATCHDOG=1").ready()
    worker.heard("WATCHDOG=1")
    want(person, "hang")
    until(home, "began hang x")
    worker.notify.forget()  # what it said until then
    fed = 0
    with contextlib.suppress(TimeoutError):
        while fed < 10:
            worker.notify.wait_for("WATCHDOG=1", 1.0)
            fed += 1
    assert fed < 10
    worker.kill()


def test_heartbeats_tell_how_it_fares(home, bus):
    """`ligand status` shows what daemons say of themselves."""
    with Subscription(home.paths.mirror_socket, ("Q_HEARTBEAT",)) as beats:
        assert beats.wait(60)
        worker = start(home).ready()
        while True:
            seen = beats.next(60)
            assert seen is not None
            facts = orjson.loads(seen.raw)["facts"]
            if facts["daemon"] == "worker" and facts["state"] == "ready":
                break
    assert facts["pid"] == worker.pid
    assert facts["rss_bytes"] > 0
    assert home.signals("Q_HEARTBEAT") == []


def test_a_periodic_emit_with_a_key_is_one_signal_however_often_it_is_repeated(home, bus):
    """A tick that is repeated after a crash must not ring twice."""
    for _ in range(2):
        worker = start(home).ready()
        home.wait_for("Q_TICK_TOLD")
        assert worker.stop() == 0
    assert len(home.signals("Q_TICK_TOLD")) == 1
    with attached(home.paths, "worker") as raw:
        assert raw.state["ticked"] is True


def test_every_log_line_of_a_handler_names_its_story(home, person):
    """Without it nobody can tell which of a hundred lines belong together."""
    worker = start(home, JOURNAL_STREAM="1:1").ready()
    signal = want(person, "done")
    home.wait_for("Q_WORK_DONE")
    assert worker.stop() == 0
    (line,) = [line for line in worker.tail().splitlines() if "working" in line]
    assert signal.id in line
