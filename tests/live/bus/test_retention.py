"""What is kept, for how long, and what a full journal does. If this fails, work is forgotten or the disk fills."""

import time
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from signals import wire
from signals.checksums import connect
from signals.envelope import Signal
from signals.errors import LateError, LoopError, PressureError, QuotaError, UnauthorisedError
from signals.ids import uuid7
from tests.support.inprocess import InProcess, SureClock
from tests.support.keeping import ITEM, emit, fill, keep_house, lines, reject
from tests.support.raw import Raw

BUDGET = 1 << 20
DAY_S = 86_400.0


def seen_at(home, consumer: str) -> float:
    with closing(connect(home.paths.journal)) as db:
        ((at,),) = db.execute("SELECT seen_at FROM consumer WHERE consumer = ?", (consumer,))
    return float(at)


def test_what_all_have_settled_is_pruned_by_size_and_an_idle_consumer_holds_nothing_back(home, buses):
    """A daemon that waits for rare signals, or never starts, must not make the journal grow for ever."""
    bus = buses(bytes=BUDGET)
    bus.attach("eater")
    bus.attach("other")
    for _ in range(400):
        fill(bus, 1)
        for name in ("eater", "other"):
            bus.settle(name, bus.one(name))
    assert bus.state.used_bytes() < BUDGET * 0.95
    assert home.signals("Q_ITEM_SEEN")[0].seq > 100
    assert home.dead() == []
    assert home.signals("Q_JOURNAL_PRESSURE") == []


def test_under_pressure_the_laggard_s_oldest_go_whole_to_the_file_and_come_back_by_replay(home, buses):
    """A consumer that is away for long must not stop the constellation, and loses nothing for ever."""
    bus = buses(bytes=BUDGET)
    bus.attach("eater")
    for _ in range(400):
        fill(bus, 1)
        bus.settle("eater", bus.one("eater"))
    assert bus.state.used_bytes() < BUDGET
    dead = lines(home)
    assert {line["reason"] for line in dead} == {"pressure"}
    assert [line["signal"]["facts"]["n"] for line in dead] == [0] * len(dead)
    assert all(len(line["signal"]["facts"]["pad"]) == 4000 for line in dead)
    assert "dead_lettering" in [signal.facts["action"] for signal in home.signals("Q_JOURNAL_PRESSURE")]
    seqs = [line["signal"]["seq"] for line in dead]
    bus.attach("other")
    waiting = bus.given("other")
    got = [waiting[0].seq]
    while waiting:
        bus.settle("other", waiting[0])
        waiting = bus.given("other")
        got += [given.seq for given in waiting]
    assert not set(got) & set(seqs)
    bus.query("dead.replay", dead_letter_id=dead[0]["dead_letter_id"])
    again = bus.one("other")
    assert (again.seq, again.signal.replayed, len(again.signal.facts["pad"])) == (seqs[0], True, 4000)


def test_when_nothing_can_be_moved_roots_are_refused_and_settles_still_work_until_there_is_room(home, buses):
    """A full journal says so, lets the work drain, and goes on by itself."""
    home.manifest("eater", consumes=["Q_ITEM_SEEN"], emits=["Q_ITEM_DONE"], in_flight=1000)
    (home.paths.manifests / "other.yaml").unlink()
    bus = buses(bytes=BUDGET)
    bus.attach("eater")
    with pytest.raises(PressureError, match="new stories are refused"):
        fill(bus, 400)
    assert "refusing_roots" in [signal.facts["action"] for signal in home.signals("Q_JOURNAL_PRESSURE")]
    held = bus.given("eater")
    for given in held:
        bus.settle("eater", given, bus.make("eater", "Q_ITEM_DONE", {"n": given.signal.facts["n"], "pad": ""}))
    assert home.dead() == []
    keep_house(bus, 10)
    fill(bus, 1)
    assert home.signals("Q_JOURNAL_PRESSURE")[-1].facts["action"] == "relieved"


def test_old_signals_go_but_not_what_a_consumer_needs_until_it_has_been_gone_for_two_weeks(home, buses):
    """A daemon that is off over a holiday finds its work; one that never comes back holds nothing for ever."""
    bus = buses(days=1e-9)
    bus.attach("eater")
    bus.attach("other")
    emit(bus, *range(3))
    while given := bus.given("eater"):
        bus.settle("eater", given[0])
    bus.settle("other", bus.one("other"))
    bus.say("other", wire.DETACH, {})
    keep_house(bus, 2)
    assert [signal.facts["n"] for signal in home.signals("Q_ITEM_SEEN")] == [1, 2]
    bus.store.put_seen(["other"], 0.0)
    keep_house(bus, 2)
    assert home.signals("Q_ITEM_SEEN") == []


def test_who_was_there_until_the_bus_was_killed_is_not_taken_for_gone(home, buses):
    """A daemon attached for weeks whose machine loses power, and which then fails to start, must not lose its work."""
    bus = buses(days=1e-9)
    bus.attach("other")
    bus.store.put_seen(["other"], time.time() - 20 * DAY_S)  # when it attached
    emit(bus, 1)
    keep_house(bus, what="seen")
    bus = buses(days=1e-9)
    emit(bus, 2)
    keep_house(bus, 2)
    assert [signal.facts["n"] for signal in home.signals("Q_ITEM_SEEN")] == [1, 2]


def test_a_bus_that_is_stopped_notes_who_was_there(home):
    """The same where the bus ends in good order, for an upgrade that one daemon does not survive."""
    running = home.bus()
    with Raw(home.paths) as other:
        other.attach("other")
        attached = seen_at(home, "other")
        assert running.stop() == 0
    assert seen_at(home, "other") > attached


def test_a_stamp_of_a_wrong_clock_takes_nothing_younger_with_it(home, buses):
    """A machine without a battery stamps 1970 until the network tells it the time; what was kept before stays kept."""
    bus = buses()
    for name in ("eater", "other"):
        bus.attach(name)
    seqs = emit(bus, 0, 1, 2, 3)
    for name in ("eater", "other"):
        while given := bus.given(name):
            bus.settle(name, given[0])
    bus.store.db.execute("UPDATE signal SET received_us = 0 WHERE seq IN (?, ?)", (seqs[0], seqs[2]))
    keep_house(bus, 2)
    assert [signal.facts["n"] for signal in home.signals("Q_ITEM_SEEN")] == [1, 2, 3]


def test_who_was_last_seen_by_a_clock_that_was_then_set_is_not_taken_for_gone(home, buses):
    """Seen in 1970, before the network told the time, a daemon would be gone for decades, and its work forgotten."""

    class JustSet(SureClock):
        def was_set(self) -> bool:
            return True

    bus = buses(days=1e-9)
    emit(bus, 1)
    bus.store.put_seen(["eater", "other"], 0.0)
    bus.housekeeping.wall_clock = JustSet()
    keep_house(bus, what="clock")
    keep_house(bus)
    assert [signal.facts["n"] for signal in home.signals("Q_ITEM_SEEN")] == [1]


def test_a_dead_letter_of_a_wrong_clock_takes_no_younger_one_with_it(home, buses):
    """A failure that nobody has looked at yet must not go because a later one bears the year 1970."""
    bus = buses()
    bus.attach("eater")
    for n in range(4):
        reject(bus, n)
    bus.store.db.execute("UPDATE dead SET at_us = 0 WHERE number IN (1, 3)")
    keep_house(bus, what="dead")
    assert [letter["dead_letter_id"] for letter in home.dead()] == [2, 3, 4]
    assert [line["dead_letter_id"] for line in lines(home)] == [2, 3, 4]


def test_a_request_that_is_forgotten_before_anybody_took_it_is_told_as_timed_out(home, buses):
    """Silence is heard: who asked a daemon that never came back must not wait for ever."""
    late = {**ITEM, "waited_s": {"type": "number"}, "expected": {"type": "array", "items": {"type": "string"}}}
    home.contract("Q_ITEM_LATE", late, optional=["pad"], kind="error", example={"n": 1, "waited_s": 1, "expected": []})
    expects = {"answers": ["Q_ITEM_DONE"], "within_s": 60, "timeout": "Q_ITEM_LATE", "copy": ["n"]}
    home.contract("Q_ITEM_WANTED", ITEM, kind="trigger", example={"n": 1, "pad": ""}, expects=expects)
    home.manifest("cook", consumes=["Q_ITEM_WANTED"], emits=["Q_ITEM_DONE"])
    bus = buses(days=1e-9)
    bus.emit(bus.make("person@root", "Q_ITEM_WANTED", {"n": 7, "pad": ""}))
    keep_house(bus, 2)
    assert home.signals("Q_ITEM_LATE") == []
    bus.store.put_seen(["cook"], 1.0)
    keep_house(bus)
    (told,) = home.signals("Q_ITEM_LATE")
    assert told.facts["n"] == 7
    assert len(bus.state.deadlines) == 0
    bus = buses()
    assert bus.store.open_deadlines() == []


def test_a_story_whose_root_is_forgotten_goes_on_as_far_as_its_contract_let_it(home, buses):
    """A long story would end as a loop just because its beginning was pruned."""
    home.contract("Q_ITEM_MANY", ITEM, example={"n": 1, "pad": ""}, story_limit=1100)
    bus = buses()
    root = bus.make("person@root", "Q_ITEM_MANY", {"n": 0, "pad": ""})
    bus.emit(root)
    steps = [bus.make("person@root", "Q_ITEM_SEEN", {"n": n, "pad": ""}, causation_id=root.id) for n in range(1050)]
    bus.emit(*steps[:900])
    bus.emit(*steps[900:])
    bus.store.prune(bus.store.by_id(root.id)[0][0])
    bus.store.commit()
    bus = buses()
    more = [bus.make("person@root", "Q_ITEM_SEEN", {"n": n, "pad": ""}, causation_id=steps[-1].id) for n in range(51)]
    bus.emit(*more[:50])
    with pytest.raises(LoopError):
        bus.emit(more[50])


def forget_one(bus: InProcess) -> str:
    """The id of an item that its eater has had and that retention then took."""
    emit(bus, 0)
    old = bus.one("eater")
    bus.settle("eater", old)
    bus.store.prune(old.seq)
    bus.store.commit()
    return old.signal.id


def done(bus: InProcess, cause: str, **fields: Any) -> Signal:
    return bus.make("eater", "Q_ITEM_DONE", {"n": 1, "pad": ""}, causation_id=cause, **fields)


def say_done(bus: InProcess, signal: Signal) -> list[int]:
    """The eater says it outside its handler."""
    return bus.emit(signal, who="eater", attached=True)


def test_what_follows_from_a_signal_that_retention_took_goes_on(home, buses):
    """A daemon that waited for a month would fail on its work for ever; what its cause carried counts as unclean."""
    bus = buses()
    bus.attach("eater")
    with pytest.raises(UnauthorisedError):  # nothing was ever forgotten: nobody knows of this one
        say_done(bus, done(bus, uuid7()))
    old = forget_one(bus)
    timer = done(bus, old)
    assert say_done(bus, timer) == say_done(bus, timer)
    emit(bus, 2)
    given = bus.one("eater")
    bus.settle("eater", given, done(bus, given.signal.id, also_caused_by=(old,)))
    alone, joined = home.signals("Q_ITEM_DONE")
    assert (alone.causation_id, alone.correlation_id, alone.hops, alone.taint) == (old, old, 1, ("forgotten",))
    assert (joined.correlation_id, joined.also_caused_by, joined.taint) == (given.signal.id, (old,), ("forgotten",))
    assert [letter["reason"] for letter in home.dead()] == ["unauthorised"]


def test_what_follows_from_what_nobody_can_check_begins_a_story_and_counts_as_one(home, buses):
    """A daemon in a loop that names causes nobody ever saw would run away past the quota of new stories."""
    bus = buses()
    bus.attach("eater")
    forget_one(bus)
    bus.state.quota.set(0.001, 5)
    for _ in range(5):
        say_done(bus, done(bus, uuid7()))
    with pytest.raises(QuotaError):
        say_done(bus, done(bus, uuid7()))


def test_a_signal_that_is_kept_and_was_not_delivered_is_no_cause_whatever_was_forgotten(home, buses):
    """A story must not be joined by who has no part in it, on an old journal either."""
    bus = buses()
    bus.attach("eater")
    forget_one(bus)
    rare = bus.make("person@root", "Q_ITEM_RARE", {"n": 1, "pad": ""})
    bus.emit(rare)
    with pytest.raises(UnauthorisedError):
        say_done(bus, done(bus, rare.id))


def test_no_answer_comes_after_the_request_was_forgotten(home, buses):
    """Its time-out was told long ago: an answer now would be the second one."""
    late = {**ITEM, "waited_s": {"type": "number"}, "expected": {"type": "array", "items": {"type": "string"}}}
    home.contract("Q_ITEM_LATE", late, optional=["pad"], kind="error", example={"n": 1, "waited_s": 1, "expected": []})
    expects = {"answers": ["Q_ITEM_DONE"], "within_s": 60, "timeout": "Q_ITEM_LATE", "copy": ["n"]}
    home.contract("Q_ITEM_WANTED", ITEM, kind="trigger", example={"n": 1, "pad": ""}, expects=expects)
    bus = buses()
    bus.attach("eater")
    old = forget_one(bus)
    with pytest.raises(LateError, match="no longer kept"):
        say_done(bus, done(bus, old))


def test_who_was_taken_off_the_list_and_comes_back_gets_what_it_has_not_had(home, buses):
    """With `start: all` it would handle a month of signals once more, those that were buried for it among them."""
    manifest = home.manifest("thorough", consumes=["Q_ITEM_SEEN"], start="all")
    bus = buses()
    bus.attach("thorough")
    emit(bus, 1, 2)
    bus.settle("thorough", bus.one("thorough"))
    manifest.unlink()
    bus = buses()
    assert [letter["signal"]["facts"]["n"] for letter in home.dead()] == [2]
    emit(bus, 3)
    home.manifest("thorough", consumes=["Q_ITEM_SEEN"], start="all")
    bus = buses()
    bus.attach("thorough")
    assert bus.one("thorough").signal.facts["n"] == 3


def watch_lag(bus: InProcess, lag_signals: int) -> None:
    """A while passes: who is further behind than so many signals is told."""
    bus.housekeeping.limits = replace(bus.limits, lag_signals=lag_signals)
    keep_house(bus, what="lag")


def test_lag_is_told_when_it_begins_and_when_it_ends_and_not_in_between(home, buses):
    """A person must hear who is behind, once."""
    bus = buses()
    bus.attach("eater")
    for _ in range(3):
        emit(bus, *range(10))
        watch_lag(bus, 10)
    assert [s.facts["consumer"] for s in home.signals("Q_CONSUMER_LAGGING")] == ["eater", "other"]
    while given := bus.given("eater"):
        bus.settle("eater", given[0])
    for _ in range(2):
        watch_lag(bus, 10)
    assert [s.facts["consumer"] for s in home.signals("Q_CONSUMER_RECOVERED")] == ["eater"]
    (home.paths.manifests / "other.yaml").unlink()
    watch_lag(buses(), 10)
    assert [s.facts["consumer"] for s in home.signals("Q_CONSUMER_RECOVERED")] == ["eater", "other"]


def test_what_was_told_of_a_laggard_is_not_told_again_after_a_restart_and_its_end_is(home, buses):
    """An alert that somebody is behind would stand for ever: the bus was updated meanwhile, or they were taken out."""
    bus = buses()
    emit(bus, *range(20))
    for lag_signals, recovered in ((10, []), (30, []), (100, ["eater"])):
        watch_lag(bus, lag_signals)
        assert [s.facts["consumer"] for s in home.signals("Q_CONSUMER_LAGGING")] == ["eater", "other"]
        assert [s.facts["consumer"] for s in home.signals("Q_CONSUMER_RECOVERED")][:1] == recovered
        bus = buses()


def test_that_there_is_room_again_is_told_after_a_restart_too(home, buses):
    """The alert that nothing new is taken in would stand for ever after a person gave the journal more room."""
    home.manifest("eater", consumes=["Q_ITEM_SEEN"], emits=["Q_ITEM_DONE"], in_flight=1000)
    (home.paths.manifests / "other.yaml").unlink()
    bus = buses(bytes=BUDGET)
    bus.attach("eater")
    with pytest.raises(PressureError):
        fill(bus, 400)
    keep_house(buses(bytes=9 * BUDGET))
    assert home.signals("Q_JOURNAL_PRESSURE")[-1].facts["action"] == "relieved"


def test_small_signals_under_pressure_do_not_make_more_than_they_free(home, buses):
    """Telling of each dead letter costs a signal; with tiny signals that must not fill the journal itself."""
    bus = buses(bytes=BUDGET)
    bus.attach("eater")
    emit(bus, -1)
    in_hand = bus.one("eater")
    for _ in range(60):
        emit(bus, *range(100))
        keep_house(bus, 5)
    assert bus.state.used_bytes() < BUDGET * 0.95
    assert in_hand.seq not in [signal.seq for signal in home.signals("Q_ITEM_SEEN")]
    bus.settle("eater", in_hand, bus.make("eater", "Q_ITEM_DONE", {"n": 1, "pad": ""}))
    assert home.signals("Q_ITEM_DONE")[0].causation_id == in_hand.signal.id
    assert in_hand.seq not in [line["signal"]["seq"] for line in lines(home) if line["consumer"] == "eater"]
