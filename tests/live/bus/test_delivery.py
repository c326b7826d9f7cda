"""What is acknowledged is delivered, once settled, to whom it is for. If this fails, work is lost or done twice."""

import signal as os_signal

import pytest

from signals import wire
from signals.errors import ConflictError, SchemaError, UnauthorisedError
from signals.journal import Journal
from tests.support.constellation import constellation
from tests.support.raw import Given, Raw, attached

ANY = {"n": {"type": "integer"}}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with constellation(tmp_path_factory.mktemp("delivery")) as home:
        for name in ("Q_THING_SEEN", "Q_THING_DONE", "Q_THING_SORTED"):
            home.contract(name, ANY, example={"n": 1})
        home.contract(
            "Q_JOB_WANTED",
            {"n": {"type": "integer"}, "priority": {"type": "string"}},
            example={"n": 1, "priority": "low"},
        )
        home.manifest("doer", consumes=["Q_THING_SEEN"], emits=["Q_THING_DONE"], in_flight=4)
        home.manifest("single", consumes=["Q_THING_SEEN"], emits=["Q_THING_DONE"])
        home.manifest("later", consumes=["Q_THING_DONE"])
        home.manifest(
            "sorter",
            consumes=[
                {"signal": "Q_JOB_WANTED", "where": {"priority": ["critical", "high"]}, "lane": "critical"},
                {"signal": "Q_JOB_WANTED", "where": {"priority": "critical"}, "lane": "never"},
                "Q_JOB_WANTED",
            ],
            emits=["Q_THING_SORTED"],
            lanes={"critical": {"in_flight": 1}, "never": {}},
        )
        home.bus()
        yield home


@pytest.fixture
def person(home):
    with Raw(home.paths) as person:
        yield person


def test_an_acknowledged_emit_is_in_the_journal_whatever_is_killed_next(tmp_path):
    """The answer to an emit is the promise that it is on disk."""
    with constellation(tmp_path) as home:
        home.contract("Q_THING_SEEN", ANY, example={"n": 1})
        bus = home.bus()
        with Raw(home.paths) as person:
            seqs = person.emit(*(person.make("Q_THING_SEEN", {"n": n}) for n in range(100)))
            bus.kill()
        with Journal(home.paths.journal) as journal:
            assert [seq for seq, _ in journal.walk(0, ("Q_THING_SEEN",))] == seqs


def test_the_same_id_and_content_is_the_same_signal(person):
    """A retried emit whose answer was lost must not become a second signal."""
    signal = person.make("Q_THING_SORTED", {"n": 1})
    first = person.emit(signal)
    assert person.emit(signal) == first
    again = person.make("Q_THING_SORTED", {"n": 1}, id=signal.id)
    assert person.emit(again, again) == first * 2


def test_the_same_id_with_other_content_is_a_conflict_and_kept(home, person):
    """A swallowed signal would be a lie: the emitter has to hear that its id is taken."""
    signal = person.make("Q_THING_SORTED", {"n": 1})
    person.emit(signal)
    for other in (
        person.make("Q_THING_SORTED", {"n": 2}, id=signal.id),
        person.make("Q_THING_DONE", {"n": 1}, id=signal.id),
        person.make("Q_THING_SORTED", {"n": 1}, id=signal.id, taint=("web",)),
    ):
        with pytest.raises(ConflictError, match=signal.id):
            person.emit(other)
        assert home.dead()[-1]["reason"] == "conflict"


def test_the_same_id_from_another_source_is_another_signal(home, person):
    """One daemon must not be able to take another's ids away."""
    with attached(home.paths, "doer") as doer:
        mine = doer.make("Q_THING_DONE", {"n": 1})
        theirs = person.make("Q_THING_DONE", {"n": 2}, id=mine.id)
        assert doer.emit(mine) != person.emit(theirs)


def test_a_batch_is_taken_whole_or_not_at_all(home, person):
    """Half a batch would be a story that begins in the middle; which signal was wrong must be told."""
    head = person.query("status")["head"]
    facts = [{"n": 1}, {"n": "no"}, {"n": 3}]
    with pytest.raises(SchemaError) as refused:
        person.emit(*(person.make("Q_THING_SORTED", each) for each in facts))
    assert refused.value.fields["nth"] == 1
    assert [s for s in home.signals("Q_THING_SORTED") if s.seq > head] == []


def test_what_was_emitted_before_a_consumer_ever_attached_reaches_it(home, person):
    """On a first start daemons come up in any order; nothing may fall between."""
    seqs = person.emit(*(person.make("Q_THING_DONE", {"n": n}) for n in range(5)))
    with attached(home.paths, "later") as later:
        found: list[int] = []
        while len(found) < 5:
            given = later.given()
            found += [given.seq] if given.seq in seqs else []
            later.settle(given)
        assert found == seqs


def test_a_settle_twice_or_for_a_signal_never_given_changes_nothing(home, person):
    """A confused client must not emit twice for one signal, nor settle another's work."""
    with attached(home.paths, "single") as single:
        single.drain()
        person.emit(person.make("Q_THING_SEEN", {"n": 1}))
        given = single.given()
        before = len(home.signals("Q_THING_DONE"))
        single.settle(given, single.make("Q_THING_DONE", {"n": 1}))
        for seq in (given.seq, given.seq + 1, 1, 10**6):
            header = {"lane": "", "seq": seq, "put": {"k": seq}}
            assert single.refusal_of(wire.SETTLE, header, b"") == "not_in_hand"
        single.attach("single")
        assert single.state == {}
        assert len(home.signals("Q_THING_DONE")) == before + 1


def test_a_fenced_session_changes_nothing_and_the_new_one_gets_what_was_in_hand(home, person):
    """Two processes of one daemon would otherwise do the same work twice."""
    with Raw(home.paths) as old, attached(home.paths, "later") as settled:
        settled.drain()
        old.attach("single")
        old.drain()
        person.emit(person.make("Q_THING_SEEN", {"n": 1}))
        given = old.given()
        with attached(home.paths, "single") as new:
            again = new.given()
            assert again.signal == given.signal
            assert b"takes its place" in old.push(wire.FENCED)[2]
            done = old.make("Q_THING_DONE", {"n": 1})
            assert old.refusal_of(wire.SETTLE, {"lane": "", "seq": given.seq, "put": {"k": 1}}) == "unknown_session"
            assert old.refusal_of(wire.EMIT, {"attached": True}) == "unknown_session"
            new.settle(again, done)
            new.attach("single")
            assert new.state == {}


def test_state_put_with_a_settle_is_there_at_the_next_attach(home, person):
    """A daemon that counts must find its count again; a forgotten key is gone."""
    with attached(home.paths, "single") as single:
        single.drain()
        person.emit(*(person.make("Q_THING_SEEN", {"n": n}) for n in range(2)))
        single.settle(single.given(), put={"count": 1, "gone": [1]})
        single.settle(single.given(), put={"count": {"deep": None}, "gone": None})
        assert single.attach("single")["state"] == {"count": {"deep": None}}
        single.emit(put={"count": None})
        assert single.attach("single")["state"] == {}


def test_a_refused_emit_in_a_settle_refuses_all_of_it(home, person):
    """Otherwise the work would be done and its result lost."""
    with attached(home.paths, "single") as single:
        single.drain()
        person.emit(person.make("Q_THING_SEEN", {"n": 1}))
        given = single.given()
        with pytest.raises(UnauthorisedError):
            single.settle(
                given, single.make("Q_THING_DONE", {"n": 1}), single.make("Q_THING_SORTED", {"n": 1}), put={"k": 1}
            )
        assert single.attach("single", in_hand=[["", given.seq]])["settled"] == []
        assert single.state == {}
        single.settle(given, single.make("Q_THING_DONE", {"n": 1}))


def test_settles_in_any_order_lose_and_double_nothing(home, person):
    """With several in flight, a restart must bring back just what was not settled."""
    with attached(home.paths, "doer") as doer:
        doer.drain()
        seqs = person.emit(*(person.make("Q_THING_SEEN", {"n": n}) for n in range(8)))
        first = [doer.given() for _ in range(4)]
        assert doer.nothing()
        for given in (first[2], first[0]):
            doer.settle(given)
        more = [doer.given(), doer.given()]
        doer.settle(more[1])
        doer.detach()
        doer.pushed.clear()
        doer.attach("doer")
        left: list[Given] = []
        while len(left) < 5:
            left.append(doer.given())
            doer.settle(left[-1])
        assert sorted(given.seq for given in left) == [seqs[1], seqs[3], seqs[4], seqs[6], seqs[7]]
        assert doer.nothing()


def test_a_stalled_consumer_slows_no_other(home, person):
    """One daemon that hangs must not stop the rest of the constellation, nor the emitters."""
    with attached(home.paths, "single") as stalled, attached(home.paths, "doer") as doer:
        stalled.drain()
        doer.drain()
        for start in range(0, 1500, 500):
            person.emit(*(person.make("Q_THING_SEEN", {"n": start + n}) for n in range(500)))
        stalled.given()
        for _ in range(1500):
            doer.settle(doer.given())
        consumers = {row["consumer"]: row for row in person.query("consumers")}
        assert consumers["single"]["lag"] == 1500
        assert consumers["doer"]["lag"] == 0
    with attached(home.paths, "single") as stalled:
        for _ in range(1500):
            stalled.settle(stalled.given())
        assert stalled.nothing()


def test_a_signal_goes_to_the_first_lane_that_matches(home, person):
    """Urgent work goes past a busy main lane, and nothing is done in two lanes."""
    with attached(home.paths, "sorter") as sorter:
        for priority in ("low", "low", "high", "critical", "low"):
            person.emit(person.make("Q_JOB_WANTED", {"n": 1, "priority": priority}))
        main, critical = sorted((sorter.given(), sorter.given()), key=lambda given: given.lane)
        assert (main.lane, main.signal.facts["priority"]) == ("", "low")
        assert (critical.lane, critical.signal.facts["priority"]) == ("critical", "high")
        sorter.settle(critical)
        second = sorter.given()
        assert (second.lane, second.signal.facts["priority"]) == ("critical", "critical")
        sorter.settle(second)
        for given in (main, None, None):
            sorter.settle(given or sorter.given())
        assert sorter.nothing()


def test_pause_holds_deliveries_even_across_a_restart_of_the_bus(tmp_path):
    """A person who pauses a daemon must not find it at work after a reboot; and nothing is lost meanwhile."""
    with constellation(tmp_path) as home:
        home.contract("Q_THING_SEEN", ANY, example={"n": 1})
        home.manifest("single", consumes=["Q_THING_SEEN"])
        bus = home.bus()
        with Raw(home.paths) as person, Raw(home.paths) as single:
            assert person.query("pause", daemon="single") == {"paused": ["single"]}
            single.attach("single")
            person.emit(person.make("Q_THING_SEEN", {"n": 1}))
            assert single.nothing()
        bus.kill()
        home.bus()
        with Raw(home.paths) as person, Raw(home.paths) as single:
            single.attach("single")
            assert single.nothing()
            for what in ("pause", "resume"):
                assert person.refusal_of(wire.QUERY, {"what": what, "daemon": "nobody"}) == "usage"
            person.query("resume", daemon="*")
            assert single.given().signal.facts == {"n": 1}


def test_what_has_expired_is_counted_and_not_delivered(home, person):
    """A reminder for yesterday must not be spoken today."""
    before = person.query("status")["expired"]
    with attached(home.paths, "single") as single:
        single.drain()
        person.emit(
            person.make("Q_THING_SEEN", {"n": 1}, expires_at="2020-01-01T00:00:00.000000Z"),
            person.make("Q_THING_SEEN", {"n": 2}, expires_at="2990-01-01T00:00:00.000000Z"),
        )
        given = single.given()
        assert given.signal.facts == {"n": 2}
        single.settle(given)
    assert person.query("status")["expired"] == before + 1


def test_a_manifest_added_to_a_running_bus_starts_where_it_says(tmp_path):
    """A new daemon must not be flooded with last month's work, unless it asks for it."""
    with constellation(tmp_path) as home:
        home.contract("Q_THING_SEEN", ANY, example={"n": 1})
        bus = home.bus()
        with Raw(home.paths) as person:
            person.emit(person.make("Q_THING_SEEN", {"n": 1}))
            home.manifest("fresh", consumes=["Q_THING_SEEN"])
            home.manifest("thorough", consumes=["Q_THING_SEEN"], start="all")
            bus.signal(os_signal.SIGHUP)
            bus.heard("READY=1")
            person.emit(person.make("Q_THING_SEEN", {"n": 2}))
            with attached(home.paths, "fresh") as fresh, attached(home.paths, "thorough") as thorough:
                assert fresh.given().signal.facts == {"n": 2}
                given = thorough.given()
                assert given.signal.facts == {"n": 1}
                thorough.settle(given)
                assert thorough.given().signal.facts == {"n": 2}


def test_a_consumer_no_longer_listed_leaves_its_unsettled_signals_as_dead_letters(tmp_path):
    """Work that nobody will do any more must be seen, and just that: not what never was the consumer's."""
    with constellation(tmp_path) as home:
        home.contract("Q_THING_SEEN", ANY, example={"n": 1})
        manifest = home.manifest(
            "leaver", consumes=[{"signal": "Q_THING_SEEN", "where": {"n": [1, 2, 3]}}], in_flight=2
        )
        bus = home.bus()
        with Raw(home.paths) as person, Raw(home.paths) as leaver:
            leaver.attach("leaver")
            person.emit(*(person.make("Q_THING_SEEN", {"n": n}) for n in (1, 2, 9, 3, 9)))
            leaver.settle(leaver.given())
            leaver.given()
            manifest.unlink()
            bus.signal(os_signal.SIGHUP)
            bus.heard("READY=1")
            dead = [(line["reason"], line["signal"]["facts"]["n"]) for line in home.dead()]
            assert dead == [("undeliverable", 2), ("undeliverable", 3)]
            assert leaver.refusal_of(wire.BEAT, {}) in ("unknown_session", None)
            bus.stop()
        home.bus()
        assert len(home.dead()) == 2


@pytest.mark.parametrize("restarted", [False, True], ids=["reloaded", "restarted"])
def test_a_lane_added_to_a_daemon_takes_over_what_waited_and_loses_none(tmp_path, restarted):
    """A person who gives urgent work a lane of its own must not lose the urgent work that waits."""
    with constellation(tmp_path) as home:
        home.contract("Q_THING_SEEN", ANY, example={"n": 1})
        home.manifest("single", consumes=["Q_THING_SEEN"])
        bus = home.bus()
        with Raw(home.paths) as person, Raw(home.paths) as single:
            single.attach("single")
            person.emit(*(person.make("Q_THING_SEEN", {"n": n}) for n in (1, 2, 1, 2, 3)))
            single.settle(single.given())
            single.given()
            lanes = [{"signal": "Q_THING_SEEN", "where": {"n": 2}, "lane": "twos"}, "Q_THING_SEEN"]
            home.manifest("single", consumes=lanes, lanes={"twos": {}})
            if restarted:
                bus.kill()
                bus = home.bus()
            else:
                bus.signal(os_signal.SIGHUP)
                bus.heard("READY=1")
        with attached(home.paths, "single") as single:
            found: list[Given] = []
            while len(found) < 4:
                found.append(single.given())
                single.settle(found[-1])
            assert sorted(given.signal.facts["n"] for given in found) == [1, 2, 2, 3]
            assert {given.lane for given in found if given.signal.facts["n"] != 2} == {""}
            assert single.nothing()
        assert home.dead() == []


def test_a_lane_taken_from_a_daemon_leaves_its_work_to_the_others(tmp_path):
    """The reverse: what waited in the lane is still the daemon's work."""
    with constellation(tmp_path) as home:
        home.contract("Q_THING_SEEN", ANY, example={"n": 1})
        lanes = [{"signal": "Q_THING_SEEN", "where": {"n": 2}, "lane": "twos"}, "Q_THING_SEEN"]
        home.manifest("single", consumes=lanes, lanes={"twos": {}})
        bus = home.bus()
        with Raw(home.paths) as person, Raw(home.paths) as single:
            single.attach("single")
            person.emit(*(person.make("Q_THING_SEEN", {"n": n}) for n in (2, 1, 2, 1)))
            for _ in range(3):
                given = single.given()
                if given.lane == "":
                    single.settle(given)
        home.manifest("single", consumes=["Q_THING_SEEN"])
        bus.kill()
        home.bus()
        with attached(home.paths, "single") as single:
            found: list[Given] = []
            for _ in range(2):
                found.append(single.given())
                single.settle(found[-1])
            assert [given.signal.facts["n"] for given in found] == [2, 2]
            assert single.nothing()
        assert home.dead() == []
