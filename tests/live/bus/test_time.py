"""Steps aside, attempts, crashes and deadlines, on a clock that the test turns, over a real journal."""

import time

import orjson
import pytest

from services.bus.access import Access
from signals import wire
from signals.envelope import rfc3339
from signals.errors import LateError
from tests.support.constellation import Constellation
from tests.support.inprocess import ME, InProcess, law_of

ANY = {"n": {"type": "integer"}}
WAITED = {"waited_s": {"type": "number"}, "expected": {"type": "array", "items": {"type": "string"}}}


@pytest.fixture
def home(tmp_path):
    home = Constellation(tmp_path)
    home.contract("Q_THING_SEEN", ANY, example={"n": 1})
    home.contract("Q_THING_DONE", ANY, example={"n": 1})
    home.contract("Q_THING_LATE", ANY | WAITED, kind="error", example={"n": 1, "waited_s": 1, "expected": ["Q_X"]})
    expects = {"answers": ["Q_THING_DONE"], "within_s": 600, "timeout": "Q_THING_LATE", "copy": ["n"]}
    home.contract("Q_THING_WANTED", ANY, kind="trigger", example={"n": 1}, expects=expects)
    home.contract(
        "Q_THING_QUEUED", ANY, kind="trigger", example={"n": 1}, expects={**expects, "queued_at_most_s": 3600}
    )
    home.manifest("single", consumes=["Q_THING_SEEN"], emits=["Q_THING_DONE"])
    home.manifest("several", consumes=["Q_THING_SEEN"], emits=["Q_THING_DONE"], in_flight=3)
    home.manifest("server", consumes=["Q_THING_WANTED", "Q_THING_QUEUED"], emits=["Q_THING_DONE"])
    return home


@pytest.fixture
def buses(home):
    """Starts a core over the home; the one before has been killed."""
    running: list[InProcess] = []

    def start() -> InProcess:
        if running:
            running.pop().close()
        running.append(InProcess(home))
        return running[-1]

    yield start
    running.pop().close()


@pytest.fixture
def bus(buses):
    return buses()


def test_a_failing_signal_steps_aside_in_growing_steps_while_others_go_on_and_ends_with_its_traceback(home, bus):
    """One poisonous item must neither stop the line nor vanish, nor be hammered."""
    bus.attach("single")
    bus.emit(bus.make("person@root", "Q_THING_SEEN", {"n": 1}))
    failing = bus.one("single")
    for attempt, step in enumerate((1, 5, 30, 120), 1):
        assert failing.header.get("attempt", 1) == attempt
        assert failing.header.get("generation", 0) == attempt - 1
        bus.settle("single", failing, verdict=wire.NAK, error=f"Boom {attempt}", traceback=f"line {attempt}")
        bus.emit(bus.make("person@root", "Q_THING_SEEN", {"n": 2}))
        other = bus.one("single")
        assert other.signal.facts == {"n": 2}
        bus.settle("single", other)
        bus.turn(step - 0.1)
        assert bus.given("single") == []
        bus.turn(0.2)
        failing = bus.one("single")
        assert failing.signal.facts == {"n": 1}
    bus.settle("single", failing, verdict=wire.NAK, error="Boom 5", traceback="line 5")
    (dead,) = home.dead()
    assert (dead["reason"], dead["attempts"], dead["error"]) == ("attempts_exhausted", 5, "Boom 5")
    assert dead["traceback"] == "line 5"
    assert dead["signal"]["facts"] == {"n": 1}
    assert home.signals("Q_DEAD_LETTER_ADDED")[0].facts["dead_letter_id"] == dead["dead_letter_id"]
    bus.turn(1000)
    assert bus.given("single") == []


def test_a_step_aside_goes_on_after_a_restart_of_the_bus(buses):
    """Attempts are counted in the journal, and the wait does not begin anew."""
    bus = buses()
    bus.attach("single")
    bus.emit(bus.make("person@root", "Q_THING_SEEN", {"n": 1}))
    bus.settle("single", bus.one("single"), verdict=wire.NAK, error="Boom")
    bus.turn(0.6)
    bus.core.keep_time()
    bus.turn()
    bus = buses()
    bus.attach("single")
    assert bus.given("single") == []
    bus.turn(0.5)
    assert bus.one("single").header["attempt"] == 2


def test_a_failure_reported_twice_because_the_bus_was_killed_counts_once(buses):
    """The client sends again what was not answered; the bus has counted it already."""
    bus = buses()
    bus.attach("single")
    bus.emit(bus.make("person@root", "Q_THING_SEEN", {"n": 1}))
    given = bus.one("single")
    bus.settle("single", given, verdict=wire.NAK, error="Boom")
    bus = buses()
    body = bus.attach("single", in_hand=[["", given.seq, 0]])
    assert body["settled"] == [["", given.seq]]
    bus.turn(2)
    assert bus.one("single").header["attempt"] == 2


@pytest.mark.parametrize("held", [(0, 1, 2), (0, 2), (2,), (1,)])
def test_what_outlived_the_bus_is_neither_given_again_once_settled_nor_are_others_lost(buses, held):
    """After a restart of the bus its clients still hold what they had: each signal must be done just once."""
    bus = buses()
    bus.attach("several")
    seqs = bus.emit(*(bus.make("person@root", "Q_THING_SEEN", {"n": n}) for n in range(5)))
    had = bus.given("several")
    bus = buses()
    identity, peer = b"several", ME
    in_hand = [["", had[index].seq, 0] for index in held]
    attach = orjson.dumps({"protocol": wire.PROTOCOL, "daemon": "several", "in_hand": in_hand})
    bus.core.receive(identity, peer, [wire.ATTACH, b"a", attach])
    for index in held:  # in the same turn as the attach
        settle = orjson.dumps({"lane": "", "seq": had[index].seq, "put": {"k": index}})
        bus.core.receive(identity, peer, [wire.SETTLE, b"s", settle])
    bus.turn()
    left = []
    while given := bus.given("several"):
        left += [one.seq for one in given]
        for one in given:
            bus.settle("several", one)
    assert sorted(left) == [seq for seq in seqs if seq not in [had[index].seq for index in held]]


def test_unavailable_pauses_the_consumer_and_counts_no_attempt(bus):
    """A model server that is down for a day must not turn a day's questions into dead letters."""
    bus.attach("single")
    bus.emit(*(bus.make("person@root", "Q_THING_SEEN", {"n": n}) for n in (1, 2)))
    for _ in range(20):
        given = bus.one("single")
        assert given.signal.facts == {"n": 1}
        assert given.header.get("attempt", 1) == 1
        bus.settle("single", given, verdict=wire.UNAVAILABLE, retry_in=30, error="down")
        bus.turn(29)
        assert bus.given("single") == []
        bus.turn(1.1)
    bus.settle("single", bus.one("single"))
    assert bus.one("single").signal.facts == {"n": 2}


def test_reject_ends_at_once(home, bus):
    """What can never be handled is not tried five times."""
    bus.attach("single")
    bus.emit(bus.make("person@root", "Q_THING_SEEN", {"n": 1}))
    bus.settle("single", bus.one("single"), verdict=wire.REJECT, error="no such module")
    assert [(dead["reason"], dead["error"]) for dead in home.dead()] == [("rejected", "no such module")]


def test_after_a_crash_what_was_in_hand_comes_singly_and_five_crashes_alone_are_poison(home, bus):
    """One signal that kills its daemon must not take the innocent ones beside it along."""
    bus.attach("several")
    bus.emit(*(bus.make("person@root", "Q_THING_SEEN", {"n": n}) for n in (1, 2, 3, 4)))
    assert len(bus.given("several")) == 3
    bus.crash("several")
    for _ in range(5):
        bus.attach("several")
        given = bus.one("several")
        assert given.signal.facts == {"n": 1}
        bus.crash("several")
    bus.attach("several")
    for n in (2, 3):
        given = bus.one("several")
        assert given.signal.facts == {"n": n}
        bus.settle("several", given)
    assert bus.one("several").signal.facts == {"n": 4}
    (dead,) = home.dead()
    assert (dead["reason"], dead["attempts"], dead["signal"]["facts"]) == ("poison", 5, {"n": 1})


def test_what_was_in_hand_at_a_crash_and_is_worthless_by_now_holds_nothing_up(bus, monkeypatch):
    """Singly means one after the other, not one a second: after a crash with much in hand new work must not wait."""
    bus.attach("several")
    soon = time.time() + 600
    for n in range(3):
        bus.emit(bus.make("person@root", "Q_THING_SEEN", {"n": n}, expires_at=rfc3339(soon)))
    assert len(bus.given("several")) == 3
    bus.crash("several")
    monkeypatch.setattr(time, "time", lambda: soon + 1)
    bus.emit(bus.make("person@root", "Q_THING_SEEN", {"n": 4}))
    bus.attach("several")
    assert bus.one("several").signal.facts == {"n": 4}
    assert bus.query("status")["expired"] == 3


def test_a_restart_in_good_order_or_of_the_bus_is_no_crash(buses):
    """A daemon that is restarted often, or whose bus is, must not lose its work as poison."""
    bus = buses()
    bus.attach("single")
    bus.emit(bus.make("person@root", "Q_THING_SEEN", {"n": 1}))
    for _ in range(7):
        bus.one("single")
        bus.say("single", wire.DETACH, {})
        bus.attach("single")
    for _ in range(7):
        bus.one("single")
        bus = buses()
        bus.attach("single")
    for _ in range(7):
        bus.one("single")
        bus.core.receive(b"single", bus.state.sessions.of("single").peer, [wire.BEAT, b"n", b'{"stopping":true}'])
        bus.crash("single")
        bus.attach("single")
    assert bus.one("single").signal.facts == {"n": 1}


def ask(bus, name: str = "Q_THING_WANTED", n: int = 1):
    signal = bus.make("person@root", name, {"n": n})
    bus.emit(signal)
    return signal


def timeouts(home) -> list[int]:
    return [signal.facts["n"] for signal in home.signals("Q_THING_LATE")]


def test_a_deadline_counts_from_first_delivery_and_stands_still_while_the_bus_is_down(home, buses):
    """A reboot must not turn every open request into a failure; nor may the time-out come twice."""
    bus = buses()
    ask(bus)
    bus.turn(5000)
    assert timeouts(home) == []
    bus.attach("server")
    given = bus.one("server")
    bus.turn(400)
    bus.core.keep_time()
    bus.turn()
    bus = buses()
    bus.attach("server", in_hand=[["", given.seq]])
    bus.turn(199)
    assert timeouts(home) == []
    bus.turn(2)
    assert timeouts(home) == [1]
    bus = buses()
    bus.turn(5000)
    assert timeouts(home) == [1]
    assert bus.attach("server", in_hand=[["", given.seq]])["late"] == [["", given.seq]]
    with pytest.raises(LateError):
        bus.settle("server", given)


def test_redelivery_does_not_begin_a_deadline_anew(home, bus):
    """Otherwise a daemon that crashes again and again would hold its askers for ever."""
    bus.attach("server")
    ask(bus)
    for _ in range(6):
        bus.settle("server", bus.one("server"), verdict=wire.RETURN)
        bus.turn(99)
    assert timeouts(home) == []
    bus.turn(10)
    assert timeouts(home) == [1]
    assert [given.signal.facts for given in bus.given("server")[1:]] == []


def test_an_unanswered_request_times_out_even_when_its_consumer_has_acknowledged_it(home, bus):
    """To acknowledge is not to answer."""
    bus.attach("server")
    ask(bus)
    bus.settle("server", bus.one("server"))
    bus.turn(601)
    assert timeouts(home) == [1]


def test_an_answer_removes_the_deadline(home, buses):
    """An answer that came is the end of it, whatever is restarted."""
    bus = buses()
    bus.attach("server")
    ask(bus)
    given = bus.one("server")
    bus.settle("server", given, bus.make("server", "Q_THING_DONE", {"n": 1}))
    bus = buses()
    bus.turn(5000)
    assert timeouts(home) == []


def test_a_request_given_up_before_anybody_had_it_times_out_all_the_same(home, bus):
    """Expired in the queue: the asker must hear that nobody will answer."""
    bus.emit(bus.make("person@root", "Q_THING_WANTED", {"n": 1}, expires_at="2020-01-01T00:00:00.000000Z"))
    bus.attach("server")
    assert bus.given("server") == []
    bus.turn(601)
    assert timeouts(home) == [1]


def test_the_queue_allowance_passes_while_nobody_takes_the_request_and_only_then(home, bus):
    """A busy server may let requests wait as long as their contract says, not longer."""
    ask(bus, "Q_THING_QUEUED")
    bus.turn(3599)
    assert timeouts(home) == []
    bus.turn(2)
    assert timeouts(home) == [1]
    assert home.signals("Q_THING_LATE")[0].facts["waited_s"] == 3600
    ask(bus, "Q_THING_QUEUED", 2)
    bus.turn(3000)
    bus.attach("server")
    bus.one("server")
    bus.turn(599)
    assert timeouts(home) == [1]
    bus.turn(2)
    assert timeouts(home) == [1, 2]


def test_a_paused_consumer_gets_its_time_back(home, buses):
    """A person who pauses a daemon over night must not find its work timed out in the morning."""
    bus = buses()
    bus.attach("server")
    ask(bus)
    given = bus.one("server")
    bus.turn(300)
    bus.query("pause", daemon="server")
    bus.turn(100)
    bus.query("pause", daemon="*")
    bus.turn(10_000)
    assert timeouts(home) == []
    assert bus.core.expiry.next_in() is None
    bus = buses()
    bus.attach("server", in_hand=[["", given.seq]])
    bus.query("resume", daemon="server")
    bus.turn(10_000)
    bus.query("resume", daemon="*")
    bus.turn(299)
    assert timeouts(home) == []
    bus.turn(2)
    assert timeouts(home) == [1]


def test_a_request_of_a_consumer_that_was_taken_off_the_list_while_paused_times_out_after_all(home, bus):
    """Pause, disable a daemon, go on: who asked it something must hear that no answer comes."""
    bus.attach("server")
    bus.emit(bus.make("person@root", "Q_THING_WANTED", {"n": 1}))
    bus.one("server")
    bus.query("pause", daemon="*")
    bus.query("pause", daemon="server")
    (home.paths.manifests / "server.yaml").unlink()
    catalogue, registry = law_of(home)
    bus.core.attaching.reroute(bus.core.registration.changes(registry))
    bus.core.registration.take_over(catalogue, registry, Access("user", registry.daemons))
    bus.turn(700)
    assert home.signals("Q_THING_LATE") == []
    assert bus.query("resume", daemon="server") == {"paused": ["*"]}
    bus.query("resume", daemon="*")
    bus.turn(700)
    assert [signal.facts["n"] for signal in home.signals("Q_THING_LATE")] == [1]
