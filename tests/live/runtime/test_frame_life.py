"""A daemon's start, its configuration and its end. If this fails, every daemon misbehaves in the same way."""

import signal as os_signal

import pytest

from tests.live.runtime.conftest import MANIFEST, WORKER, did, go, start, until, want
from tests.support.raw import attached


def test_ready_is_said_only_once_the_bus_is_there(home):
    """systemd must not start what depends on a daemon that cannot work yet."""
    worker = start(home)
    worker.heard(f"STATUS=waiting for the bus at {home.paths.bus_socket}")
    assert not any("READY=1" in said for said in worker.notify.said)
    home.bus()
    worker.ready()
    worker.signal(os_signal.SIGTERM)
    worker.heard("STOPPING=1")
    assert worker.stop() == 0
    names = [s.signal for s in home.signals("Q_DAEMON_READY", "Q_DAEMON_STOPPING") if s.facts["daemon"] == "worker"]
    assert names == ["Q_DAEMON_READY", "Q_DAEMON_STOPPING"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"consumes": [*MANIFEST["consumes"], "Q_ANSWER_GIVEN"]}, "no @daemon.on('Q_ANSWER_GIVEN') handles it"),
        ({"consumes": ["Q_WORK_WANTED"]}, "does not list it under consumes"),
        ({"listens": ["Q_HEARTBEAT"]}, "no @daemon.on_live('Q_HEARTBEAT') handles it"),
        ({"emits": ["Q_NOBODY_KNOWS"]}, "there is no contract for Q_NOBODY_KNOWS"),
        ({"in_flight": 0}, "in_flight"),
    ],
)
def test_a_daemon_whose_code_and_manifest_disagree_does_not_start(home, change, words):
    """What the manifest promises is what people and the bus go by; a lie in it must not run."""
    home.manifest("worker", **{**MANIFEST, **change})
    worker = start(home)
    assert worker.process.wait(60) == 78
    assert words in worker.tail()
    assert "Traceback" not in worker.tail()


def test_a_wrong_configuration_names_file_line_and_key(home):
    """A person must find the mistake without reading code; systemd must not restart into it for ever."""
    home.paths.ensure()
    path = home.paths.config_of("worker")
    path.write_text("# mine\ngreeting: 7\n")
    worker = start(home)
    assert worker.process.wait(60) == 78
    assert f"{path}:2" in worker.tail() or (str(path) in worker.tail() and "line 2" in worker.tail())
    assert "greeting" in worker.tail()


def test_sighup_takes_a_new_configuration_and_keeps_the_old_one_when_the_new_is_wrong(home, person):
    """Reloading must never bring a running daemon down."""
    worker = start(home).ready()
    worker.notify.said.clear()
    home.config("worker", {"greeting": "ahoy"})
    worker.signal(os_signal.SIGHUP)
    worker.ready()
    assert worker.notify.said[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
    (told,) = home.wait_for("Q_CONFIGURATION_RELOADED", daemon="worker")
    assert told.facts["changed"] == ["greeting"]
    for wrong in ("greeting: [1]\n", "greeting: raise\n"):
        home.paths.config_of("worker").write_text(wrong)
        worker.signal(os_signal.SIGHUP)
        worker.ready()
    assert [line for line in did(home) if line.startswith("reloaded")] == ["reloaded ahoy", "reloaded raise"]
    assert worker.tail().count("reload_refused") == 2
    assert "the configuration of before holds still" in worker.notify.said[-1]
    home.config("worker", {"greeting": "ahoy"})
    worker.signal(os_signal.SIGHUP)
    worker.ready()
    assert "holds still" not in worker.notify.said[-1]
    want(person, "done")
    home.wait_for("Q_WORK_DONE")
    assert worker.stop() == 0


def test_a_signal_has_a_daemon_take_its_configuration_and_the_answer_says_whether_it_does(home, person):
    """What changes a configuration must know whether it is in use; another daemon's is none of this one's business."""
    mine = {"signal": "Q_CONFIGURATION_CHANGED", "where": {"daemon": "worker"}, "lane": "configuration"}
    lanes = {"configuration": {"in_flight": 1}}
    home.manifest("worker", **{**MANIFEST, "consumes": [*MANIFEST["consumes"], mine], "lanes": lanes})
    home.manifest("tuner", emits=["Q_CONFIGURATION_CHANGED"])
    home.running[0].signal(os_signal.SIGHUP)  # the bus takes the manifests
    home.wait_for("Q_CONFIGURATION_RELOADED", daemon="bus")
    worker = start(home).ready()
    want(person, "barrier", "busy")
    until(home, "reached busy")  # the main lane is taken: a reload does not wait for it
    with attached(home.paths, "tuner") as tuner:

        def tell(config, daemon="worker"):
            home.config("worker", config)
            request = tuner.make("Q_CONFIGURATION_CHANGED", {"daemon": daemon, "keys": ["greeting"]})
            tuner.emit(request)
            return request

        good = tell({"greeting": "ahoy"})
        (told,) = home.wait_for("Q_CONFIGURATION_RELOADED", daemon="worker")
        assert (told.causation_id, told.facts["changed"]) == (good.id, ["greeting"])
        bad = tell({"greeting": [1]})
        (refused,) = home.wait_for("Q_CONFIGURATION_REFUSED")
        assert (refused.causation_id, refused.facts["reason"]) == (bad.id, "bad_configuration")
        assert "greeting" in refused.facts["detail"]
        tell({"greeting": "raise"})
        assert home.wait_for("Q_CONFIGURATION_REFUSED", 2)[1].facts["reason"] == "reload_failed"
        tell({"greeting": "servus"}, daemon="somebody_else")
        last = tell({"greeting": "moin"})
        assert home.wait_for("Q_CONFIGURATION_RELOADED", 2, daemon="worker")[1].causation_id == last.id
    assert [line for line in did(home) if line.startswith("reloaded")][-1] == "reloaded moin"
    go(home, "busy")
    assert worker.stop() == 0


def test_sigterm_finishes_what_runs_and_gives_back_what_waits(home, person):
    """A restart must lose no work and count as no failure."""
    home.manifest("worker", **{**MANIFEST, "in_flight": 1})
    worker = start(home).ready()
    want(person, "barrier", "drain")
    want(person, "done", "later")
    until(home, "reached drain")
    worker.signal(os_signal.SIGTERM)
    worker.heard("STOPPING=1")
    go(home, "drain")
    assert worker.stop() == 0
    assert [s.facts["text"] for s in home.signals("Q_WORK_DONE")] == ["drain"]
    start(home).ready()
    home.wait_for("Q_WORK_DONE", 2)
    consumers = {row["consumer"]: row for row in person.query("consumers")}
    assert (consumers["worker"]["lag"], home.dead()) == (0, [])


def test_what_a_stop_cuts_short_has_ended_before_the_daemon_lets_go_of_its_things(home, bus, person):
    """A handler that tidies up behind a connection which is closed already leaves a mess, and says so in the log."""
    worker = start(home).ready()
    want(person, "sleep")
    until(home, "began sleep x")
    bus.kill()  # nobody could be told of a result: there is nothing to wait for
    worker.heard("STATUS=the bus is away; attaching again when it is back")
    assert worker.stop() == 0
    assert did(home)[-2:] == ["slept", "stopped"]


def test_a_daemon_told_to_stop_while_it_starts_does_not_wait_for_a_bus_that_went_away(home, bus):
    """`ligand down` and a shutdown would hang for a minute and a half, and end in a kill."""
    worker = home.script("worker", STARTING, "worker")
    until(home, "reached start")
    bus.kill()
    worker.heard("STATUS=the bus is away; attaching again when it is back")
    go(home, "start")
    assert worker.stop(60) == 0


STARTING = WORKER.read_text().replace(
    "daemon.run()",
    """
@daemon.on_start
async def begin():
    await barrier("start")


daemon.run()
""",
)


def test_a_fenced_daemon_ends_saying_that_another_took_its_place(home, bus):
    """Two of one kind must not fight for the place, crash-looping for a day."""
    first = start(home).ready()
    second = home.script("worker", WORKER, "worker").ready()
    assert first.process.wait(60) == 78
    assert "takes its place" in first.tail()
    assert second.process.poll() is None
