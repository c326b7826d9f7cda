"""Model workers on a real bus, and servers over real HTTP. If this fails, the person waits behind background work."""

from __future__ import annotations

import contextlib
import signal as os_signal
import time
from pathlib import Path

import pytest

from signals.envelope import Signal
from signals.live import Subscription
from tests.leaks import nothing_left
from tests.support.constellation import Constellation, Running, constellation
from tests.support.model_server import ModelServer, Plan, fails, model_server, says
from tests.support.ports import held
from tests.support.raw import Raw

PROMPT = "the-words-of-the-person"
KEY = "sk-the-key-of-the-person"
pytestmark = pytest.mark.xdist_group("model_worker")
SHARED = pytest.mark.may_leak("what both share is looked after at the end")
ENVIRONMENT = {"PYTHONWARNINGS": "error", "OPENAI_ORG_ID": "org-of-another"}
FAST = {"retries": {"rounds": 2, "backoff_s": 0.01}, "timeouts": {"idle_s": 20}}


class Home:
    """A constellation with model workers, and a person who asks them."""

    def __init__(self, home: Constellation) -> None:
        self.home = home
        self.workers: dict[str, Running] = {}
        home.manifest("asker", emits=["Q_MODEL_REQUEST"])

    def configure(self, role: str, *servers: ModelServer | str, **more) -> None:
        entries = [
            {"base_url": one if isinstance(one, str) else one.url, "credential": "home", "max_concurrent": 1}
            for one in servers
        ]
        self.home.config(f"model_worker@{role}", {"servers": entries, **FAST, **more})
        folder = self.home.paths.config / "credentials"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "home").touch(mode=0o600)
        (folder / "home").write_text(KEY + "\n")

    def work_both(self) -> None:
        for role in ("primary", "research"):
            if role not in self.workers or self.workers[role].process.poll() is not None:
                self.work(role)

    def work(self, role: str) -> Running:
        name = f"model_worker@{role}"
        self.workers[role] = self.home.start(name, "-m", "services.model_worker", role, env=ENVIRONMENT)
        return self.workers[role].ready()

    def answers(self, request: Signal) -> list[Signal]:
        names = ("Q_MODEL_RESPONSE", "Q_MODEL_FAILED", "Q_MODEL_TIMEOUT")
        return [one for one in self.home.signals(*names) if one.causation_id == request.id]

    def answer(self, request: Signal) -> Signal:
        deadline = time.monotonic() + 60
        with Subscription(self.home.paths.mirror_socket, ("Q_MODEL_",)) as woken:
            while not (found := self.answers(request)):
                assert time.monotonic() < deadline, [one.tail(3000) for one in self.home.running]
                woken.wait(1.0)
        (only,) = found
        return only

    def log(self) -> str:
        return "\n".join(one.tail(1 << 20) for one in self.workers.values())


@pytest.fixture
def home(tmp_path: Path):
    with constellation(tmp_path) as found:
        yield Home(found)


@pytest.fixture(scope="module")
def one_place(tmp_path_factory: pytest.TempPathFactory):
    """Both workers on a server that answers one request at a time; a test has what it killed started again."""
    folder = tmp_path_factory.mktemp("one_place")
    with nothing_left(), model_server(slots=1) as server, constellation(folder) as found:
        home = Home(found)
        home.configure("primary", server)
        home.configure("research", server)
        found.bus()
        yield home, server


@contextlib.contextmanager
def person(home: Home):
    with Raw(home.home.paths) as found:
        yield found


def request(asker: Raw, role: str = "primary", **facts) -> Signal:
    whole = {"role": role, "prompt": PROMPT, "deadline_s": 60, "stream": False, "purpose": "a test", **facts}
    signal = asker.make("Q_MODEL_REQUEST", whole, taint=("microphone",))
    asker.emit(signal)
    return signal


def test_each_role_is_answered_by_its_own_instance_and_nothing_secret_is_logged(home):
    """A question reaches the instance of its role once; its words and the key are in no log line, even at debug."""
    with model_server() as near, model_server() as far:
        near.key = KEY
        home.configure("primary", near, log_level="debug")
        home.configure("research", far, log_level="debug")
        home.home.bus()
        home.work("primary")
        home.work("research")
        with person(home) as asker, Subscription(home.home.paths.mirror_socket, ("Q_MODEL_TOKEN",)) as tokens:
            ours = request(asker, stream=True, priority="high")
            theirs = request(asker, role="research")
            one, two = home.answer(ours), home.answer(theirs)
            assert (one.source, one.facts["server"]) == ("model_worker@primary", near.url)
            assert (two.source, two.facts["server"]) == ("model_worker@research", far.url)
            assert one.taint == ("microphone", "model")
            told = [tokens.wait(60), tokens.wait(60), tokens.wait(60)]
            assert told[-1]
        near.plans.append(fails(400, f"cannot do {PROMPT}"))
        with person(home) as asker:
            refused = home.answer(request(asker))
            assert refused.facts["reason"] == "refused"
        assert PROMPT not in home.log()
        assert KEY not in home.log()
        assert KEY not in str([one.facts for one in home.home.signals()])
        assert "org-of-another" not in str(near.headers)  # nothing is taken from the environment
        available = home.home.signals("Q_MODEL_AVAILABLE")
        assert {(one.facts["role"], one.facts["server"]) for one in available} == {
            ("primary", near.url),
            ("research", far.url),
        }


def test_a_server_that_goes_and_comes_is_told_once_each_and_used_again(home):
    """The person hears that the model is down, once; starting it again is all there is to do."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(held())
        with model_server(port) as server:
            home.configure("primary", server, probe={"interval_s": 0.2, "timeout_s": 5})
            home.home.bus()
            home.work("primary")
            home.home.wait_for("Q_MODEL_AVAILABLE")
        (down,) = home.home.wait_for("Q_MODEL_UNAVAILABLE")
        assert down.facts["server"] == f"http://127.0.0.1:{port}/v1"
        assert down.taint == ("model",)
        asker = stack.enter_context(person(home))
        assert home.answer(request(asker)).facts["reason"] in ("unavailable", "circuit_open")
        home.workers["primary"].stop()
        home.work("primary")  # it remembers what it has told
        with model_server(port):
            found = home.home.wait_for("Q_MODEL_AVAILABLE", 2)
            assert found[1].facts["lasted_s"] > 0
            assert home.answer(request(asker)).signal == "Q_MODEL_RESPONSE"
    assert len(home.home.signals("Q_MODEL_UNAVAILABLE")) <= 2  # the second, if any, is of the server's end just now


@SHARED
def test_a_worker_killed_in_the_middle_holds_nothing_up_and_answers_once(one_place):
    """Killed at any moment: background work goes on meanwhile, and the asker still gets one answer, and only one."""
    home, server = one_place
    home.work_both()
    server.forget()
    server.plans.extend([says("Half", ends="hold"), says("Researched.")])
    with person(home) as asker:
        asked = request(asker)
        server.until("begun")
        home.workers["primary"].kill()
        server.until("left")
        # what the dead worker had told of itself ends with its lease
        assert home.answer(request(asker, role="research")).facts["text"] == "Researched."
        home.work("primary")
        found = home.answer(asked)
    assert (found.signal, found.facts["text"]) == ("Q_MODEL_RESPONSE", "Hello there.")
    assert len(server.questions) == 3
    home.workers["primary"].stop()
    assert len(home.answers(asked)) == 1
    assert home.home.dead() == []


@SHARED
def test_the_person_never_waits_behind_background_work(one_place):
    """On a server with one place, research is broken off for a question, and goes on once that is answered."""
    home, server = one_place
    home.work_both()
    server.forget()
    server.plans.extend([says("Long", forever=True), says("At once", ends="hold"), says("Researched.")])
    with person(home) as asker:
        slow = request(asker, role="research")
        server.until("begun")  # it would go on for ever
        asked = request(asker)
        server.until("begun", 2)  # the question's first token is there
        assert [one for one in server.events if one in ("begun", "left")] == ["begun", "left", "begun"]
        with Subscription(home.home.paths.mirror_socket, ("Q_MODEL_BUSY",)) as renewed:
            assert renewed.wait(60)  # said again while it lasts
        assert server.events.count("asked") == 2
        server.go.set()
        assert home.answer(asked).facts["text"] == "At once"
        found = home.answer(slow)
        assert (found.facts["text"], found.facts["attempts"]) == ("Researched.", 2)
    assert home.home.dead() == []


def test_a_missing_credential_stops_the_worker_and_says_where_to_put_it(home):
    """A person who forgot the key reads what to do, instead of a 401 an hour later."""
    home.configure("primary", "http://127.0.0.1:1/v1")
    (home.home.paths.config / "credentials" / "home").unlink()
    home.home.bus()
    worker = home.home.start("model_worker@primary", "-m", "services.model_worker", "primary")
    assert worker.process.wait(60) == 78
    assert "credentials/home" in worker.tail()


def test_a_new_configuration_holds_for_the_next_question(home):
    """Another server is taken without a restart, what is being answered is not lost, and deadlines hold."""
    with model_server() as old, model_server() as new:
        old.plans.append(says("Old", ends="hold"))
        new.usual = Plan(pieces=("New.",))
        home.configure("primary", old)
        home.home.bus()
        worker = home.work("primary")
        with person(home) as asker:
            first = request(asker)
            old.until("begun")
            home.configure("primary", new)
            worker.signal(os_signal.SIGHUP)
            home.home.wait_for("Q_CONFIGURATION_RELOADED")
            assert home.answer(request(asker)).facts["text"] == "New."
            new.plans.append(says("Half", ends="hold"))
            late = home.answer(request(asker, deadline_s=5))  # from the worker itself, which says why
            assert (late.signal, late.facts["reason"]) == ("Q_MODEL_FAILED", "timeout")
            new.until("left")
            old.go.set()
            assert home.answer(first).facts["text"] == "Old"
    (removed,) = home.home.signals("Q_MODEL_UNAVAILABLE")  # else it would be remembered as there for ever
    assert (removed.facts["server"], removed.facts["removed"]) == (old.url, True)


def test_a_day_s_tokens_hold_over_a_kill_and_are_told_of(home):
    """A worker that crashes again and again at a server that costs money asks it no more than a day allows."""
    with model_server() as server:
        server.plans.append(says("Half", ends="hold"))
        entry = {"base_url": server.url, "tokens_per_day": 150}
        home.home.config("model_worker@primary", {"servers": [entry], "limits": {"max_tokens": 100}, **FAST})
        home.home.bus()
        home.work("primary")
        with person(home) as asker:
            asked = request(asker)
            server.until("begun")
            home.workers["primary"].kill()
            server.until("left")
            home.work("primary")
            found = home.answer(asked)
    assert (found.signal, found.facts["reason"], found.facts["retryable"]) == ("Q_MODEL_FAILED", "unavailable", True)
    assert "its 150 tokens a day are spent" in found.facts["detail"]
    assert len(server.questions) == 1
    (told,) = home.home.signals("Q_MODEL_UNAVAILABLE")
    assert "its 150 tokens a day are spent" in told.facts["reason"]
