"""Handlers that fail, hang or kill their daemon. If this fails, one bad signal holds up all that follow."""

import time

from signals import wire
from signals.envelope import encode
from tests.live.runtime.conftest import MANIFEST, WORKER, start, until, want
from tests.support.constellation import constellation
from tests.support.raw import attached


def test_a_handler_past_its_time_is_cancelled_and_its_attempt_fails(home, person):
    """One stuck request must not hold a lane for ever."""
    home.manifest("worker", **{**MANIFEST, "max_handling_s": 0.2})
    start(home).ready()
    want(person, "sleep")
    until(home, "began sleep x", 2)
    with home.journal() as journal:
        ((_, attempts, error),) = journal.asides("worker")
    assert (attempts >= 1, "longer than 0.2 s" in (error or "")) == (True, True)  # the second may be over too by now


def test_a_thread_past_its_time_ends_the_process_at_once_which_is_no_crash(home, person):
    """A thread cannot be cancelled; the process is restarted, and the signal has one failed attempt."""
    home.manifest("worker", **{**MANIFEST, "max_handling_s": 0.3})
    worker = home.script("worker", NEVER_DRAINED, "worker").ready()
    person.emit(person.make("Q_THREAD_WANTED", {"text": "1000"}))
    assert worker.process.wait(60) == 75
    with home.journal() as journal:
        ((_, attempts, error),) = journal.asides("worker")
    assert (attempts, "longer than 0.3 s" in (error or "")) == (1, True)


NEVER_DRAINED = WORKER.read_text().replace(
    "daemon.run()", "import services.runtime.daemon as frame\n\nframe.DRAIN_S = 1000.0\ndaemon.run()"
)
"""Who waited for its handlers to end, as at a SIGTERM, would wait for longer than a test does."""


def test_a_handler_that_heeds_no_cancellation_ends_the_process_too(home, person):
    """It held its lane for ever, and then the end of its daemon."""
    home.manifest("worker", **{**MANIFEST, "max_handling_s": 0.2})
    worker = start(home).ready()
    want(person, "sleep on")
    assert worker.process.wait(60) == 75
    with home.journal() as journal:
        ((_, attempts, error),) = journal.asides("worker")
    assert (attempts, "longer than 0.2 s" in (error or "")) == (1, True)


def test_failures_of_any_size_are_reported_and_state_too_large_is_one(home, person):
    """An error text of megabytes once cost the daemon its connection, again and again."""
    start(home).ready()
    want(person, "fail", "boom " * 100)
    want(person, "big")
    want(person, "reject", "never")
    want(person, "done")
    home.wait_for("Q_WORK_DONE")
    until(home, "began big x", 2)
    assert [dead["reason"] for dead in home.dead()] == ["rejected"]
    with home.journal() as journal:
        errors = sorted(error.split(":")[0] for _, _, error in journal.asides("worker"))
    assert errors == ["OversizeError", "RuntimeError"]


def test_a_failure_that_json_cannot_hold_is_a_failed_attempt_and_the_lane_goes_on(home, person):
    """State or an error text that cannot be written once held the lane for ever, without a word."""
    start(home).ready()
    want(person, "put a set")
    want(person, "put no number")
    want(person, "fail unwritably")
    want(person, "put unwritably")
    want(person, "done")
    home.wait_for("Q_WORK_DONE")
    with home.journal() as journal:
        errors = sorted(error for _, _, error in journal.asides("worker"))
    assert errors[0] == "RuntimeError: no such file: \\udcff"
    assert errors[1].startswith("SchemaError: 'note of \\udcff' cannot be kept as JSON")
    assert errors[2] == "SchemaError: 'put a set' cannot be kept as JSON: Type is not JSON serializable: set"
    assert errors[3] == "SchemaError: 'put no number' cannot be kept as JSON: nan"


def test_a_handler_that_waits_for_what_was_cancelled_has_failed(home, person):
    """Given back untried, its signal would come again at once, for ever, at the full speed of the machine."""
    start(home).ready()
    want(person, "lose a task")
    want(person, "done")
    home.wait_for("Q_WORK_DONE")
    with home.journal() as journal:
        ((_, attempts, error),) = journal.asides("worker")
    assert (attempts, error) == (1, "CancelledError: ")


def test_too_many_causes_are_told_where_they_are_named(home, person):
    """Who puts a hundred signals into one would read only that an envelope is wrong, and not what to do."""
    start(home).ready()
    want(person, "follow many")
    want(person, "done")
    home.wait_for("Q_WORK_DONE")
    with home.journal() as journal:
        ((_, attempts, error),) = journal.asides("worker")
    assert (attempts, error.split(". ")[0]) == (
        1,
        "SchemaError: Q_WORK_DONE would follow from 71 signals; one names at most 65",
    )


def test_a_live_handler_that_raises_keeps_nobody_waiting(tmp_path):
    """What comes behind a live signal, deliveries among them, is not held up by its handler's mistake."""
    with constellation(tmp_path) as home:
        home.contract("Q_SOUND_HEARD", {"n": {"type": "integer"}}, example={"n": 1}, delivery="live")
        home.contract("Q_SOUND_TOLD", {"n": {"type": "integer"}}, example={"n": 1})
        home.manifest("ear", listens=["Q_SOUND_HEARD"], emits=[])
        home.manifest("mouth", emits=["Q_SOUND_HEARD"])
        home.bus()
        ear = home.script("ear", EAR).ready()
        with attached(home.paths, "mouth") as mouth:
            mouth.send(wire.LIVE, b"", *(encode(mouth.make("Q_SOUND_HEARD", {"n": n})) for n in range(3)))
            deadline = time.monotonic() + 60
            while "heard 2" not in ear.tail():
                assert time.monotonic() < deadline, ear.tail()
                time.sleep(0.01)
        assert "live_handler_failed" in ear.tail()


EAR = """
import services.runtime.daemon as frame
from services.runtime import Daemon
frame.HEARTBEAT_S = 1000.0  # which would wake it
daemon = Daemon("ear")
@daemon.on_live("Q_SOUND_HEARD")
def hear(signal):
    if signal.facts["n"] == 0:
        raise ValueError("boom")
    print("heard", signal.facts["n"], flush=True)
daemon.run()
"""


def test_a_signal_that_kills_its_daemon_five_times_is_put_away_as_poison(home, person):
    """One bad input must not keep a daemon down for ever."""
    want(person, "die")
    want(person, "done", "after")
    for _ in range(5):
        assert start(home).process.wait(60) == 1
    start(home).ready()
    (done,) = home.wait_for("Q_WORK_DONE")
    assert done.facts["text"] == "after"
    (dead,) = home.dead()
    assert (dead["reason"], dead["signal"]["facts"]["act"]) == ("poison", "die")
