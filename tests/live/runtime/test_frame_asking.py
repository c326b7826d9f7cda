"""A daemon that asks another, and who dies meanwhile. If this fails, one answer is paid for twice, or never comes."""

import signal as os_signal
import time

from signals.envelope import unix_seconds
from tests.live.runtime.conftest import MANIFEST, WORK, contracts, did, go, start, until, want
from tests.support.constellation import constellation
from tests.support.raw import Raw, attached


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
        deadline = time.monotonic() + 60
        while "attempt_failed" not in worker.tail():
            assert time.monotonic() < deadline, worker.tail()
            time.sleep(0.01)
    assert "UnauthorisedError" in worker.tail()


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
