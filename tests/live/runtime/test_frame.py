"""The frame on real processes. If this fails, every daemon misbehaves in the same way."""

import contextlib
import signal as os_signal
import time
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from signals import wire
from signals.checksums import connect
from signals.envelope import encode, unix_seconds
from signals.live import Subscription
from tests.support.constellation import Constellation, Running, constellation
from tests.support.raw import Raw, attached

WORKER = Path(__file__).parents[2] / "support" / "worker.py"
TEXT = {"text": {"type": "string"}}
WORK = {"act": {"type": "string"}, **TEXT}
MANIFEST = {
    "consumes": ["Q_WORK_WANTED", "Q_THREAD_WANTED"],
    "emits": ["Q_WORK_DONE", "Q_TICK_TOLD"],
    "asks": ["Q_ANSWER_WANTED"],
    "config": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"greeting": {"type": "string", "default": "hello", "description": "What to say."}},
    },
}


def contracts(home: Constellation) -> None:
    for name, facts in {"Q_WORK_WANTED": WORK, "Q_WORK_DONE": WORK}.items():
        home.contract(name, facts, example={"act": "x", "text": "x"})
    for name in ("Q_THREAD_WANTED", "Q_TICK_TOLD", "Q_ANSWER_GIVEN"):
        home.contract(name, TEXT, example={"text": "x"})
    home.contract("Q_ANSWER_FAILED", TEXT, kind="error", example={"text": "x"})
    waited = {"waited_s": {"type": "number"}, "expected": {"type": "array", "items": {"type": "string"}}}
    home.contract("Q_ANSWER_LATE", waited, kind="error", example={"waited_s": 1, "expected": ["Q_X"]})
    expects = {"answers": ["Q_ANSWER_GIVEN", "Q_ANSWER_FAILED"], "within_s": 600, "timeout": "Q_ANSWER_LATE"}
    home.contract("Q_ANSWER_WANTED", TEXT, kind="trigger", example={"text": "x"}, expects=expects)
    home.manifest("answerer", consumes=["Q_ANSWER_WANTED"], emits=["Q_ANSWER_GIVEN", "Q_ANSWER_FAILED"])


@pytest.fixture
def home(tmp_path):
    with constellation(tmp_path) as home:
        contracts(home)
        home.manifest("worker", **MANIFEST)
        yield home


@pytest.fixture
def bus(home):
    return home.bus()


@pytest.fixture
def person(home, bus):
    with Raw(home.paths) as person:
        yield person


def start(home: Constellation, **env: str) -> Running:
    return home.script("worker", WORKER, "worker", **env)


def did(home: Constellation, name: str = "worker") -> list[str]:
    path = home.home / f"{name}.did"
    return path.read_text().splitlines() if path.exists() else []


def until(home: Constellation, line: str, count: int = 1) -> None:
    """Block until the worker has noted a line so often."""
    deadline = time.monotonic() + 20
    while did(home).count(line) < count:
        assert time.monotonic() < deadline, (line, did(home), home.running[-1].tail())
        time.sleep(0.01)


def go(home: Constellation, name: str) -> None:
    (home.home / f"go.{name}").touch()


def want(person: Raw, act: str, text: str = "x"):
    signal = person.make("Q_WORK_WANTED", {"act": act, "text": text})
    person.emit(signal)
    return signal


# -- starting and stopping -----------------------------------------------------------------------------


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
    assert worker.process.wait(20) == 78
    assert words in worker.tail()
    assert "Traceback" not in worker.tail()


def test_a_wrong_configuration_names_file_line_and_key(home):
    """A person must find the mistake without reading code; systemd must not restart into it for ever."""
    home.paths.ensure()
    path = home.paths.config_of("worker")
    path.write_text("# mine\ngreeting: 7\n")
    worker = start(home)
    assert worker.process.wait(20) == 78
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


@pytest.mark.parametrize("step", ["await barrier('go')", "await asyncio.to_thread(time.sleep, 60)"])
def test_a_daemon_told_to_stop_while_it_starts_ends_at_once(home, bus, step):
    """`ligand down` and a shutdown would wait for a model that nobody wants any more, and end in a kill."""
    worker = home.script("worker", with_step("on_start", step), "worker")
    until(home, "reached on_start")
    assert worker.stop(15) == 0
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
    assert worker.stop(20) == 0
    assert "stop_failed" in worker.tail()
    assert did(home)[-1] == "ended on_stop"


def test_a_failing_last_step_is_told_and_the_others_are_taken(home, bus):
    """What stands behind it would stay undone, and the goodbye unsaid."""
    worker = home.script("worker", with_step("on_stop", "raise RuntimeError('broken')"), "worker").ready()
    assert worker.stop() == 1
    assert did(home)[-3:] == ["stopped", "reached on_stop", "ended on_stop"]
    assert "stop_failed" in worker.tail()
    assert "Q_DAEMON_STOPPING" in [s.signal for s in home.signals()]


def test_a_periodic_function_that_waits_for_what_was_cancelled_is_named_as_the_fault(home, bus):
    """The daemon ended with a bare traceback that named no function, and its log said nothing."""
    worker = home.script("worker", with_step("every(60)", "await lost()"), "worker")
    assert worker.process.wait(20) == 1
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


def test_a_fenced_daemon_ends_saying_that_another_took_its_place(home, bus):
    """Two of one kind must not fight for the place, crash-looping for a day."""
    first = start(home).ready()
    second = home.script("worker", WORKER, "worker").ready()
    assert first.process.wait(20) == 78
    assert "takes its place" in first.tail()
    assert second.process.poll() is None


# -- handling ------------------------------------------------------------------------------------------


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


def test_an_asker_killed_after_its_answer_resumes_with_it_and_asks_once(home, person):
    """Nobody pays twice for one answer, whatever crashes."""
    worker = start(home).ready()
    with attached(home.paths, "answerer") as answerer:
        want(person, "ask", "why")
        request = answerer.given()
        answerer.settle(request, answerer.make("Q_ANSWER_GIVEN", {"text": "because"}))
        until(home, "reached answered")
        worker.kill()
        go(home, "answered")
        start(home)
        (done,) = home.wait_for("Q_WORK_DONE")
        assert done.facts["text"] == "because"
        assert answerer.nothing()
    assert len(home.signals("Q_ANSWER_WANTED")) == 1


def test_a_request_expires_with_the_handler_that_waits_for_it(home, person):
    """An answer that nobody hears any more is not worked on, nor paid for."""
    asking = start(home).ready()
    person.emit(person.make("Q_WORK_WANTED", {"act": "ask", "text": "why"}))
    [request] = home.wait_for("Q_ANSWER_WANTED")
    asking.kill()  # told to stop, it would give its handler time for an answer that does not come
    left = unix_seconds(request.expires_at) - unix_seconds(request.timestamp)
    assert 299 < left < 301  # max_handling_s, 300 by default


def test_a_loop_met_while_asking_ends_there_and_the_signal_is_settled(tmp_path):
    """Trying again cannot end a loop: the request alone is a dead letter, and nothing is attempted five times."""
    with constellation(tmp_path) as home:
        contracts(home)
        home.contract("Q_WORK_WANTED", WORK, example={"act": "x", "text": "x"}, story_limit=1)
        home.manifest("worker", **MANIFEST)
        home.bus()
        start(home).ready()
        with Raw(home.paths) as person:
            person.emit(person.make("Q_WORK_WANTED", {"act": "ask", "text": "why"}))
            home.wait_for("Q_DEAD_LETTER_ADDED", reason="loop")
            person.emit(person.make("Q_WORK_WANTED", {"act": "reject", "text": "next"}))
            home.wait_for("Q_DEAD_LETTER_ADDED", reason="rejected")
        assert [(letter["reason"], letter["signal"]["signal"]) for letter in home.dead()] == [
            ("loop", "Q_ANSWER_WANTED"),
            ("rejected", "Q_WORK_WANTED"),
        ]
        assert did(home).count("began ask why") == 1


def test_a_recorded_failure_is_not_returned_for_ever(home, person):
    """When the model is back, the question is put again."""
    go(home, "answered")
    start(home).ready()
    with attached(home.paths, "answerer") as answerer:
        want(person, "ask", "why")
        for text, kind in (("down", "Q_ANSWER_FAILED"), ("down", "Q_ANSWER_FAILED"), ("because", "Q_ANSWER_GIVEN")):
            answerer.settle(answerer.given(), answerer.make(kind, {"text": text}))
    (done,) = home.wait_for("Q_WORK_DONE")
    assert done.facts["text"] == "because"
    assert home.dead() == []


def test_the_bus_restarts_under_a_daemon_at_work(home, bus, person):
    """A restart of the bus must restart no daemon and no handler, and lose neither settle nor answer."""
    home.manifest("worker", **{**MANIFEST, "in_flight": 2})
    bus.signal(os_signal.SIGHUP)
    bus.ready()
    worker = start(home).ready()
    with Raw(home.paths) as answerer:
        answerer.attach("answerer")
        want(person, "barrier", "restart")
        want(person, "ask", "why")
        until(home, "reached restart")
        request = answerer.given()
        bus.kill()
        go(home, "restart")
        go(home, "answered")
        worker.heard("STATUS=the bus is away; attaching again when it is back")
        home.bus()
        answerer.attach("answerer", in_hand=[["", request.seq]])
        answerer.settle(request, answerer.make("Q_ANSWER_GIVEN", {"text": "because"}))
    done = home.wait_for("Q_WORK_DONE", 2)
    assert sorted(s.facts["text"] for s in done) == ["because", "restart"]
    assert sorted(line for line in did(home) if line.startswith("began")) == [
        "began ask why",
        "began barrier restart",
    ]
    assert worker.process.poll() is None
    assert worker.stop() == 0


def test_who_waits_for_an_answer_that_the_bus_no_longer_lets_him_ask_for_hears_it(home, bus, person):
    """After an upgrade of contracts or manifests the handler waited on until its time was over, without a word."""
    worker = start(home).ready()
    with attached(home.paths, "answerer") as answerer:
        want(person, "ask", "why")
        answerer.given()
        bus.kill()
        home.manifest("worker", **{**MANIFEST, "asks": []})
        home.bus()
        (told,) = home.wait_for("Q_DEAD_LETTER_ADDED")
        assert told.facts["reason"] == "unauthorised"
        deadline = time.monotonic() + 20
        while "attempt_failed" not in worker.tail():
            assert time.monotonic() < deadline, worker.tail()
            time.sleep(0.01)
    assert "UnauthorisedError" in worker.tail()


def test_a_handler_past_its_time_is_cancelled_and_its_attempt_fails(home, person):
    """One stuck request must not hold a lane for ever."""
    home.manifest("worker", **{**MANIFEST, "max_handling_s": 0.2})
    start(home).ready()
    want(person, "sleep")
    until(home, "began sleep x", 2)
    with home.journal() as journal:
        ((_, attempts, error),) = journal.asides("worker")
    assert (attempts, "longer than 0.2 s" in (error or "")) == (1, True)


def test_a_thread_past_its_time_ends_the_process_at_once_which_is_no_crash(home, person):
    """A thread cannot be cancelled; the process is restarted, and the signal has one failed attempt."""
    home.manifest("worker", **{**MANIFEST, "max_handling_s": 0.3})
    worker = start(home).ready()
    began = time.monotonic()
    person.emit(person.make("Q_THREAD_WANTED", {"text": "100"}))
    assert worker.process.wait(20) == 75
    assert time.monotonic() - began < 8
    with home.journal() as journal:
        ((_, attempts, error),) = journal.asides("worker")
    assert (attempts, "longer than 0.3 s" in (error or "")) == (1, True)


def test_a_handler_that_heeds_no_cancellation_ends_the_process_too(home, person):
    """It held its lane for ever, and then the end of its daemon."""
    home.manifest("worker", **{**MANIFEST, "max_handling_s": 0.2})
    worker = start(home).ready()
    want(person, "sleep on")
    assert worker.process.wait(20) == 75
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


def test_state_is_kept_as_it_was_when_it_was_put(home, person):
    """A value that its handler changes afterwards once could not be sent, and held the lane for ever."""
    start(home).ready()
    want(person, "put and change")
    home.wait_for("Q_WORK_DONE")
    with home.journal() as journal:
        assert journal.state_of("worker")["put and change"] == [1]


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


def test_a_handler_may_ask_more_than_one_signal_can_name(home, person):
    """What it asked and was answered would be lost, since nobody could be told what came of it."""
    start(home).ready()
    with attached(home.paths, "answerer") as answerer:
        want(person, "ask many")
        for _ in range(70):
            request = answerer.given()
            answerer.settle(request, answerer.make("Q_ANSWER_GIVEN", {"text": "because"}, taint=["model"]))
        (done,) = home.wait_for("Q_WORK_DONE")
    assert (len(done.also_caused_by), done.taint) == (64, ("model",))
    assert home.dead() == []


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
            deadline = time.monotonic() + 4  # well under the heartbeat that would have woken it
            while "heard 2" not in ear.tail():
                assert time.monotonic() < deadline, ear.tail()
        assert "live_handler_failed" in ear.tail()


EAR = """
from services.runtime import Daemon
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
        assert start(home).process.wait(20) == 1
    start(home).ready()
    (done,) = home.wait_for("Q_WORK_DONE")
    assert done.facts["text"] == "after"
    (dead,) = home.dead()
    assert (dead["reason"], dead["signal"]["facts"]["act"]) == ("poison", "die")


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
        assert beats.wait(10)
        worker = start(home).ready()
        while True:
            seen = beats.next(10)
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
