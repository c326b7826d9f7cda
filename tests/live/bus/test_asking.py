"""Requests and their answers. If this fails, a person pays twice for one answer, or waits for one that never comes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from signals import wire
from signals.envelope import encode
from signals.errors import ConflictError, LateError, UsageError
from signals.ids import derive
from tests.support.constellation import Constellation, Running, constellation
from tests.support.inprocess import InProcess
from tests.support.raw import Given, Raw, attached

TEXT = {"text": {"type": "string"}}
WAITED = {"waited_s": {"type": "number"}, "expected": {"type": "array", "items": {"type": "string"}}}


def contracts(home: Constellation) -> None:
    for name in ("Q_TASK_START", "Q_TASK_DONE", "Q_ANSWER_GIVEN", "Q_NOTE_TAKEN"):
        home.contract(name, TEXT, example={"text": "x"})
    home.contract("Q_ANSWER_FAILED", TEXT, kind="error", example={"text": "x"})
    home.contract(
        "Q_ANSWER_TIMEOUT", {**TEXT, **WAITED}, kind="error", example={"text": "x", "waited_s": 1, "expected": ["Q_X"]}
    )
    expects = {"answers": ["Q_ANSWER_GIVEN", "Q_ANSWER_FAILED"], "timeout": "Q_ANSWER_TIMEOUT", "copy": ["text"]}
    home.contract("Q_ANSWER_WANTED", TEXT, kind="trigger", example={"text": "x"}, expects={**expects, "within_s": 600})
    home.contract("Q_ANSWER_SOON", TEXT, kind="trigger", example={"text": "x"}, expects={**expects, "within_s": 0.3})
    home.contract(
        "Q_ANSWER_QUEUED",
        TEXT,
        kind="trigger",
        example={"text": "x"},
        expects={**expects, "within_s": 600, "queued_at_most_s": 0.3},
    )
    asks = ["Q_ANSWER_WANTED", "Q_ANSWER_SOON", "Q_ANSWER_QUEUED"]
    home.manifest("asker", consumes=["Q_TASK_START"], emits=["Q_TASK_DONE"], asks=asks)
    gives = ["Q_ANSWER_GIVEN", "Q_ANSWER_FAILED"]
    home.manifest("answerer", consumes=[*asks, "Q_NOTE_TAKEN"], emits=[*gives, "Q_NOTE_TAKEN"], in_flight=4)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with constellation(tmp_path_factory.mktemp("asking")) as home:
        contracts(home)
        home.bus()
        yield home


class Cast:
    """A person, an asker with one signal in hand, and an answerer."""

    def __init__(self, home: Constellation, person: Raw, asker: Raw, answerer: Raw) -> None:
        self.home, self.person, self.asker, self.answerer = home, person, asker, answerer
        person.emit(person.make("Q_TASK_START", {"text": "go"}))
        self.task = asker.given()

    def request(self, text: str = "why", name: str = "Q_ANSWER_WANTED", **fields):
        generation = fields.pop("generation", self.task.header.get("generation", 0))
        signal_id = derive(self.task.signal.id, "asker", generation, name, 0)
        return self.asker.make(name, {"text": text}, id=signal_id, causation_id=self.task.signal.id, **fields)

    def reply(self, given: Given, name: str = "Q_ANSWER_GIVEN", text: str = "because", **fields) -> None:
        self.answerer.settle(given, self.answerer.make(name, {"text": text}, **fields))

    def requests(self) -> list[str]:
        story = self.task.signal.correlation_id
        return [s.id for s in self.home.signals("Q_ANSWER_WANTED", "Q_ANSWER_SOON") if s.correlation_id == story]


@contextmanager
def own_cast(folder: Path) -> Iterator[tuple[Cast, Running]]:
    """A cast on a bus of its own, and that bus, which may be killed."""
    with constellation(folder) as home:
        contracts(home)
        bus = home.bus()
        with Raw(home.paths) as person, Raw(home.paths) as asker, Raw(home.paths) as answerer:
            asker.attach("asker")
            answerer.attach("answerer")
            yield Cast(home, person, asker, answerer), bus


@pytest.fixture
def cast(home):
    with (
        Raw(home.paths) as person,
        attached(home.paths, "asker") as asker,
        attached(home.paths, "answerer") as answerer,
    ):
        cast = Cast(home, person, asker, answerer)
        yield cast
        if cast.asker.refusal_of(wire.SETTLE, {"lane": "", "seq": cast.task.seq}) not in (None, "not_in_hand"):
            asker.attach("asker", in_hand=[["", cast.task.seq, 99]])
            asker.settle(cast.task)


def test_one_in_flight_can_ask_and_gets_the_answer_while_its_signal_is_in_hand(cast):
    """A daemon that handles one signal at a time must not wait for itself."""
    cast.asker.ask(cast.task, cast.request())
    cast.reply(cast.answerer.given())
    answer = cast.asker.answer()
    assert answer.facts == {"text": "because"}
    assert answer.correlation_id == cast.task.signal.correlation_id
    cast.asker.settle(cast.task, cast.asker.make("Q_TASK_DONE", {"text": answer.facts["text"]}))
    assert cast.asker.nothing()


def test_asked_again_after_a_crash_the_recorded_answer_comes_and_the_request_was_made_once(cast):
    """Nobody pays a model twice for one question."""
    first = cast.asker.ask(cast.task, cast.request())
    cast.reply(cast.answerer.given())
    cast.asker.answer()
    cast.asker.attach("asker", in_hand=[["", cast.task.seq]])
    assert cast.asker.ask(cast.task, cast.request()) == first
    assert cast.asker.answer().facts == {"text": "because"}
    assert len(cast.requests()) == 1


def test_an_answer_given_while_the_asker_is_away_waits_for_it(cast):
    """An asker that restarts must find its answer in the journal."""
    cast.asker.ask(cast.task, cast.request())
    cast.asker.detach()
    cast.reply(cast.answerer.given())
    cast.asker.attach("asker")
    cast.task = cast.asker.given()
    cast.asker.ask(cast.task, cast.request())
    assert cast.asker.answer().facts == {"text": "because"}


def test_a_recorded_failure_is_asked_anew_after_unavailable_and_a_paid_answer_is_kept(cast):
    """A model that was down an hour ago must not be down for ever; what it did answer is not paid again."""
    cast.asker.ask(cast.task, cast.request())
    cast.reply(cast.answerer.given(), "Q_ANSWER_FAILED", "down")
    assert cast.asker.answer().signal == "Q_ANSWER_FAILED"
    cast.asker.settle(cast.task, verdict=wire.UNAVAILABLE, retry_in=0.01, error="down")
    cast.task = cast.asker.given()
    assert cast.task.header.get("attempt", 1) == 1
    with pytest.raises(ConflictError) as refused:
        cast.asker.ask(cast.task, cast.request())
    assert refused.value.fields["stale"]
    cast.asker.ask(cast.task, cast.request(generation=1))
    cast.reply(cast.answerer.given())
    assert cast.asker.answer().facts == {"text": "because"}
    cast.asker.settle(cast.task, verdict=wire.UNAVAILABLE, retry_in=0.01, error="something else")
    cast.task = cast.asker.given()
    assert cast.asker.refusal_of(wire.ASK, {"lane": "", "seq": cast.task.seq}) == "usage"
    cast.asker.ask(cast.task, cast.request(generation=1))
    assert cast.asker.answer().facts == {"text": "because"}
    assert len(cast.requests()) == 2


def test_something_else_under_the_same_id_is_a_conflict_without_a_dead_letter(cast):
    """A handler that changed its mind after a crash is told; it is no fault to keep."""
    cast.asker.ask(cast.task, cast.request("why"))
    before = len(cast.home.dead())
    with pytest.raises(ConflictError):
        cast.asker.ask(cast.task, cast.request("how"))
    assert len(cast.home.dead()) == before
    cast.reply(cast.answerer.given())


def test_what_expects_no_answer_cannot_be_asked(cast):
    """Waiting for ever for an answer that no contract promises would hang the handler."""
    done = cast.asker.make("Q_TASK_DONE", {"text": "x"}, causation_id=cast.task.signal.id)
    with pytest.raises(UsageError, match="expects no answer"):
        cast.asker.ask(cast.task, done)


def test_the_answer_s_taint_follows_into_what_the_asker_emits_even_if_it_does_not_say_so(cast):
    """Text from the web must not become trusted by passing through a daemon that forgets where it came from."""
    cast.asker.ask(cast.task, cast.request(taint=("file",)))
    cast.reply(cast.answerer.given(), taint=("web",))
    answer = cast.asker.answer()
    assert answer.taint == ("file", "web")
    cast.asker.settle(cast.task, cast.asker.make("Q_TASK_DONE", {"text": "x"}))
    done = cast.home.signals("Q_TASK_DONE")[-1]
    assert done.taint == ("file", "web")
    assert (done.causation_id, done.also_caused_by) == (cast.task.signal.id, (answer.id,))
    assert done.hops == (answer.hops or 0) + 1


def test_a_time_out_settles_the_request_cancels_its_handler_and_comes_once(cast):
    """The asker must hear that no answer will come, and nobody may go on working for nothing."""
    cast.asker.ask(cast.task, cast.request("quick", "Q_ANSWER_SOON"))
    given = cast.answerer.given()
    timeout = cast.asker.answer()
    assert timeout.signal == "Q_ANSWER_TIMEOUT"
    assert timeout.facts == {"text": "quick", "waited_s": 0.3, "expected": ["Q_ANSWER_GIVEN", "Q_ANSWER_FAILED"]}
    assert timeout.source == "bus"
    assert b'"seq":%d' % given.seq in cast.answerer.push(wire.CANCEL)[2]
    with pytest.raises(LateError):
        cast.reply(given)
    assert len([s for s in cast.home.signals("Q_ANSWER_TIMEOUT") if s.causation_id == given.signal.id]) == 1
    body = cast.answerer.attach("answerer", in_hand=[["", given.seq]])
    assert body["late"] == [["", given.seq]]


def test_an_answer_in_time_leaves_no_time_out(cast):
    """Answer and time-out exclude each other."""
    cast.asker.ask(cast.task, cast.request())
    given = cast.answerer.given()
    cast.reply(given)
    assert cast.asker.answer().signal == "Q_ANSWER_GIVEN"
    assert cast.person.query("status")["open_deadlines"] == 0
    assert [s for s in cast.home.signals("Q_ANSWER_TIMEOUT") if s.causation_id == given.signal.id] == []


@pytest.fixture
def turned(tmp_path):
    """A bus on a clock that the test turns, its answerer, and an asker that has just asked for an answer soon."""
    home = Constellation(tmp_path)
    contracts(home)
    bus = InProcess(home)
    for name in ("asker", "answerer"):
        bus.attach(name)
    bus.emit(bus.make("person@root", "Q_TASK_START", {"text": "go"}))
    task = bus.one("asker")
    request = bus.make("asker", "Q_ANSWER_SOON", {"text": "quick"}, causation_id=task.signal.id)
    bus.say("asker", wire.ASK, {"lane": task.lane, "seq": task.seq}, encode(request))
    yield bus
    bus.close()


def test_a_late_answer_from_another_handler_is_refused_and_its_own_signal_stays_in_hand(turned):
    """The settle as a whole is refused, so the handler's other results are not lost unsaid."""
    request = turned.one("answerer")
    turned.settle("answerer", request, turned.make("answerer", "Q_NOTE_TAKEN", {"text": "answer this"}))
    note = turned.one("answerer")
    turned.turn(1)
    late = turned.make("answerer", "Q_ANSWER_GIVEN", {"text": "x"}, causation_id=request.signal.id)
    with pytest.raises(LateError) as refused:
        turned.settle("answerer", note, late)
    assert refused.value.fields["of"] == "emit"
    turned.settle("answerer", note)


def test_a_request_nobody_takes_within_its_queue_allowance_times_out(home):
    """If the answerer is not there at all, the asker must still hear of it."""
    with Raw(home.paths) as person, attached(home.paths, "asker") as asker:
        person.emit(person.make("Q_TASK_START", {"text": "go"}))
        task = asker.given()
        asker.ask(task, asker.make("Q_ANSWER_QUEUED", {"text": "anyone"}))
        timeout = asker.answer()
        assert timeout.facts["waited_s"] == 0.3
        asker.settle(task)
    with attached(home.paths, "answerer") as answerer:
        assert answerer.nothing()


def test_the_bus_restarts_between_request_and_answer(tmp_path):
    """An asker that waits keeps waiting through a restart of the bus, and gets its answer."""
    with own_cast(tmp_path) as (cast, bus):
        home, asker, answerer = cast.home, cast.asker, cast.answerer
        asker.ask(cast.task, cast.request())
        given = answerer.given()
        bus.kill()
        home.bus()
        answerer.attach("answerer", in_hand=[["", given.seq]])
        assert asker.attach("asker", in_hand=[["", cast.task.seq]])["settled"] == []
        asker.ask(cast.task, cast.request())
        cast.reply(given)
        assert asker.answer().facts == {"text": "because"}
        assert asker.nothing()
        assert answerer.nothing()
        assert len(cast.requests()) == 1


def test_two_sources_with_the_same_request_id_have_two_deadlines(home):
    """Ids are each daemon's own; a shared one once killed the bus when the second was answered."""
    with (
        Raw(home.paths) as person,
        attached(home.paths, "asker") as asker,
        attached(home.paths, "answerer") as answerer,
    ):
        mine = asker.make("Q_ANSWER_WANTED", {"text": "mine"})
        theirs = person.make("Q_ANSWER_WANTED", {"text": "theirs"}, id=mine.id)
        asker.emit(mine)
        person.emit(theirs)
        for given in (answerer.given(), answerer.given()):
            answerer.settle(given, answerer.make("Q_ANSWER_GIVEN", {"text": given.signal.facts["text"]}))
        assert person.query("status")["open_deadlines"] == 0


def test_a_second_request_survives_a_restart_of_the_bus_with_its_cause_and_taint(tmp_path):
    """The bus forgets who holds which answer; the taint and the recognition of a paid request must not depend on it."""
    with own_cast(tmp_path) as (cast, bus):
        home, asker, answerer = cast.home, cast.asker, cast.answerer
        asker.ask(cast.task, cast.request())
        cast.reply(answerer.given(), taint=("web",))
        first = asker.answer()
        bus.kill()
        home.bus()
        second = asker.make(
            "Q_ANSWER_WANTED",
            {"text": "and then"},
            id=derive(cast.task.signal.id, "asker", 0, "Q_ANSWER_WANTED", 1),
            causation_id=cast.task.signal.id,
        )
        asker.attach("asker", in_hand=[["", cast.task.seq]])
        asker.ask(cast.task, second)
        [journaled] = [s for s in home.signals("Q_ANSWER_WANTED") if s.id == second.id]
        assert journaled.also_caused_by == (first.id,)
        assert journaled.taint == ("web",)
        asker.attach("asker")  # the asker was killed: its handler runs again
        again = asker.given()
        asker.ask(again, cast.request())
        assert asker.answer().id == first.id
        assert asker.ask(again, second)["id"] == second.id  # recognised, not a conflict
        assert len(cast.requests()) == 2


def test_a_timed_out_request_can_be_replayed_and_answered(turned):
    """People replay after mending a daemon, which is after the time has passed."""
    given = turned.one("answerer")
    turned.settle("answerer", given, verdict="reject", error="no key")
    turned.turn(1)
    assert [one.facts["text"] for one in turned.home.signals("Q_ANSWER_TIMEOUT")] == ["quick"]
    [number] = [dead["dead_letter_id"] for dead in turned.home.dead() if dead.get("seq") == given.seq]
    turned.query("dead.replay", dead_letter_id=number)
    again = turned.one("answerer")
    assert again.signal.replayed
    turned.settle("answerer", again, turned.make("answerer", "Q_ANSWER_GIVEN", {"text": "at last"}))
    assert [one.facts["text"] for one in turned.home.signals("Q_ANSWER_GIVEN")] == ["at last"]
