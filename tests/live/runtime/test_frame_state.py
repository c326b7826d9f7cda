"""What a daemon keeps. If this fails, its counts and places are wrong after the next crash."""

from contextlib import closing

from signals.checksums import connect
from tests.live.runtime.conftest import go, start, until, want
from tests.support.raw import attached


def test_state_is_there_after_a_kill_exactly_when_the_settle_is(home, person):
    """A counter that is one ahead or behind after a crash is worth nothing."""
    worker = start(home).ready()
    want(person, "barrier", "before")
    until(home, "reached before")
    worker.kill()
    with attached(home.paths, "worker") as raw:
        assert "count" not in raw.state
    go(home, "before")
    worker = start(home).ready()
    home.wait_for("Q_WORK_DONE")
    worker.kill()
    with attached(home.paths, "worker") as raw:
        assert raw.state["count"] == 1
    assert len(home.signals("Q_WORK_DONE")) == 1


def test_after_a_restore_a_daemon_that_ran_on_goes_by_the_state_that_was_restored(home, bus, person):
    """Else what it keeps belongs to signals that the journal no longer has."""
    worker = start(home).ready()
    want(person, "done")
    home.wait_for("Q_WORK_DONE")
    bus.kill()
    worker.heard("STATUS=the bus is away; attaching again when it is back")
    with closing(connect(home.paths.journal, writable=True)) as db:
        db.execute("DELETE FROM state WHERE key = 'count'")
    home.bus()
    want(person, "done")
    home.wait_for("Q_WORK_DONE", 2)
    with home.journal() as journal:
        assert journal.state_of("worker")["count"] == 1


def test_state_is_kept_as_it_was_when_it_was_put(home, person):
    """A value that its handler changes afterwards once could not be sent, and held the lane for ever."""
    start(home).ready()
    want(person, "put and change")
    home.wait_for("Q_WORK_DONE")
    with home.journal() as journal:
        assert journal.state_of("worker")["put and change"] == [1]
