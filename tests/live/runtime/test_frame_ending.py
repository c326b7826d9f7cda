"""How a daemon ends, whatever it is at. If this fails, a shutdown hangs and ends in a kill, or a fault goes unnamed."""

import pytest

from tests.live.runtime.conftest import WORKER, did, start, until


@pytest.mark.parametrize("step", ["await barrier('go')", "await asyncio.to_thread(time.sleep, 600)"])
def test_a_daemon_told_to_stop_while_it_starts_ends_at_once(home, bus, step):
    """`ligand down` and a shutdown would wait for a model that nobody wants any more, and end in a kill."""
    worker = home.script("worker", with_step("on_start", step), "worker")
    until(home, "reached on_start")
    assert worker.stop(60) == 0
    assert not any("READY=1" in said for said in worker.notify.said)
    assert did(home)[-2:] == ["ended on_start", "stopped"]
    assert [s.signal for s in home.signals() if s.facts.get("daemon") == "worker"] == ["Q_DAEMON_STOPPING"]


def test_what_has_not_begun_is_not_stopped(home):
    """A daemon told to stop while it waits for the bus would fail on things that it never had."""
    worker = start(home)
    worker.heard(f"STATUS=waiting for the bus at {home.paths.bus_socket}")
    assert worker.stop() == 0
    assert did(home) == []


def test_a_last_word_that_the_bus_is_not_there_for_holds_up_no_end(home, bus):
    """A shutdown would hang for a minute and a half, and end in a kill; that something was not told is in the log."""
    worker = home.script("worker", with_step("on_stop", "await daemon.emit('Q_TICK_TOLD', text='bye')"), "worker")
    worker.ready()
    home.wait_for("Q_TICK_TOLD")
    bus.kill()
    worker.heard("STATUS=the bus is away; attaching again when it is back")
    assert worker.stop(60) == 0
    assert "stop_failed" in worker.tail()
    assert did(home)[-1] == "ended on_stop"


def test_a_failing_last_step_is_told_and_the_others_are_taken(home, bus):
    """What stands behind it would stay undone, and the goodbye unsaid."""
    worker = home.script("worker", with_step("on_stop", "raise RuntimeError('broken')"), "worker").ready()
    assert worker.stop() == 1
    assert did(home)[-3:] == ["stopped", "reached on_stop", "ended on_stop"]
    assert "stop_failed" in worker.tail()
    assert "Q_DAEMON_STOPPING" in [s.signal for s in home.signals()]


@pytest.mark.parametrize(("error", "code"), [("PressureError", 1), ("ConfigError", 78)])
def test_who_cannot_start_is_started_again_where_that_may_help(home, bus, error, code):
    """A daemon that met a full journal would stay away after there was room; one that is misconfigured would loop."""
    step = f"from signals import errors; raise errors.{error}('not today')"
    worker = home.script("worker", with_step("on_start", step), "worker")
    assert worker.process.wait(60) == code
    assert "cannot_start" in worker.tail()


def test_a_periodic_function_that_waits_for_what_was_cancelled_is_named_as_the_fault(home, bus):
    """The daemon ended with a bare traceback that named no function, and its log said nothing."""
    worker = home.script("worker", with_step("every(60)", "await lost()"), "worker")
    assert worker.process.wait(60) == 1
    (told,) = [line for line in worker.tail().splitlines() if "task_failed" in line]
    assert "task=step" in told
    assert "CancelledError" in told
    assert "Q_DAEMON_STOPPING" in [s.signal for s in home.signals()]


def with_step(when: str, step: str) -> str:
    """The worker with one more step of its life."""
    more = f"""
async def lost():
    waited = asyncio.create_task(asyncio.sleep(60))
    waited.cancel()
    await waited


@daemon.{when}
async def step():
    note("reached {when}")
    try:
        {step}
    finally:
        note("ended {when}")


daemon.run()
"""
    return WORKER.read_text().replace("daemon.run()", more)
