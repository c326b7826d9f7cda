"""What is kept, for how long, and what a full disk does. If this fails, failures vanish or the disk fills."""

from dataclasses import replace

import orjson
import pytest

from signals import wire
from signals.envelope import encode
from signals.errors import PressureError, UsageError
from signals.live import Subscription
from tests.support.constellation import Constellation, constellation
from tests.support.inprocess import ME, InProcess
from tests.support.raw import Raw

BIG = {"n": {"type": "integer"}, "pad": {"type": "string"}}


def contracts(home: Constellation) -> None:
    for name in ("Q_ITEM_SEEN", "Q_ITEM_DONE", "Q_ITEM_RARE"):
        home.contract(name, BIG, example={"n": 1, "pad": ""})
    home.manifest("eater", consumes=["Q_ITEM_SEEN"], emits=["Q_ITEM_DONE"])
    home.manifest("other", consumes=["Q_ITEM_SEEN"])
    home.manifest("idle", consumes=["Q_ITEM_RARE"])


@pytest.fixture
def home(tmp_path):
    home = Constellation(tmp_path)
    contracts(home)
    return home


@pytest.fixture
def buses(home):
    running: list[InProcess] = []

    def start(**config) -> InProcess:
        if running:
            running.pop().close()
        running.append(InProcess(home, **config))
        return running[-1]

    yield start
    running.pop().close()


def lines(home) -> list[dict]:
    return [orjson.loads(line) for line in home.paths.dead_letters.read_bytes().splitlines()]


def reject(bus: InProcess, n: int) -> None:
    bus.emit(bus.make("person@root", "Q_ITEM_SEEN", {"n": n, "pad": "x" * 5000}))
    bus.settle("eater", bus.one("eater"), verdict=wire.REJECT, error="no")


# -- dead letters --------------------------------------------------------------------------------------


def test_lines_lost_or_torn_by_a_kill_are_completed_from_the_table(home, buses):
    """A crash between commit and file must not lose a failure, nor leave a line that no tool can read."""
    bus = buses()
    bus.attach("eater")
    for n in range(3):
        reject(bus, n)
    file = home.paths.dead_letters
    whole = file.read_bytes()
    for kept in (len(whole) - 1, len(whole) - 3000, whole.index(b"\n") + 1 + 20, whole.index(b"\n") + 1, 40, 0):
        file.write_bytes(whole[:kept])
        bus.store.db.execute("UPDATE dead SET file_offset = NULL")
        bus = buses()
        assert [line["dead_letter_id"] for line in lines(home)] == [1, 2, 3]
        assert [line["signal"]["facts"]["n"] for line in lines(home)] == [0, 1, 2]


def test_a_line_garbled_by_a_power_cut_is_written_anew(home, buses):
    """A disk may keep any part of what was not synced; the file must stay readable, line by line."""
    bus = buses()
    bus.attach("eater")
    for n in range(3):
        reject(bus, n)
    file = home.paths.dead_letters
    whole = file.read_bytes()
    second = whole.index(b"\n") + 1
    file.write_bytes(whole[:second] + bytes(512) + whole[second + 512 :])
    bus.store.db.execute("UPDATE dead SET file_offset = NULL WHERE number > 1")
    bus = buses()
    assert [line["signal"]["facts"]["n"] for line in lines(home)] == [0, 1, 2]


def test_letters_pruned_just_before_a_crash_are_gone_from_the_file_too(home, buses):
    """Else the file would name failures that no tool can replay, and grow over its budget."""
    bus = buses()
    bus.attach("eater")
    for n in range(3):
        reject(bus, n)
    bus.store.db.execute("DELETE FROM dead WHERE number < 3")
    bus = buses()
    assert [line["dead_letter_id"] for line in lines(home)] == [3]
    assert [letter["signal"]["facts"]["n"] for letter in home.dead()] == [2]


def test_pruning_letters_commits_no_half_of_what_else_the_turn_has_done(home, buses):
    """A settle whose emits are on disk but not its cursor would be handled again after a crash: counted twice."""
    bus = buses()
    bus.attach("eater")
    reject(bus, 1)
    bus.emit(bus.make("person@root", "Q_ITEM_SEEN", {"n": 2, "pad": ""}))
    given = bus.one("eater")
    header = {"lane": given.lane, "seq": given.seq, "verdict": "ack", "put": {"count": 1}}
    bus.core.receive(b"eater", ME, [wire.SETTLE, b"n", orjson.dumps(header)])
    bus.housekeeping.limits = replace(bus.limits, dead_budget_bytes=1)
    bus.housekeeping.due_now("dead")
    bus.housekeeping.step()
    bus.store.db.execute("ROLLBACK")  # the crash, before this turn's one commit
    bus = buses()
    assert bus.attach("eater")["state"] == {}
    assert bus.one("eater").seq == given.seq


def test_with_a_new_journal_the_letters_of_the_old_one_are_kept_aside(home, buses):
    """Who starts anew after damage must not lose the failures on file, which may be the only copy of a signal."""
    bus = buses()
    bus.attach("eater")
    reject(bus, 1)
    kept = home.paths.dead_letters.read_bytes()
    for path in home.paths.journal.parent.glob("journal.db*"):
        path.unlink()
    bus = buses()
    assert bus.dead.set_aside is not None
    assert bus.dead.set_aside.read_bytes() == kept
    assert home.paths.dead_letters.read_bytes() == b""


def test_a_line_written_ahead_of_a_commit_that_never_came_is_taken_back(home, buses):
    """Its signal still waits for its consumer: it must not stand among the failures too, under another's number."""
    bus = buses()
    bus.attach("eater")
    reject(bus, 1)
    with home.paths.dead_letters.open("ab") as file:
        file.write(b'{"dead_letter_id":2,"reason":"pressure"}\n{"dead_letter_id":3,"reason":"pressure"}\n')
    bus = buses()
    assert [line["dead_letter_id"] for line in lines(home)] == [1]


def test_a_replay_reaches_its_consumer_alone_marked_and_under_a_new_generation(home, buses):
    """A person who mended the cause tries again, without disturbing who had no trouble; asks are made anew."""
    bus = buses()
    bus.attach("eater")
    bus.attach("other")
    reject(bus, 1)
    bus.settle("other", bus.one("other"))
    dead = lines(home)[0]
    bus.query("dead.replay", dead_letter_id=dead["dead_letter_id"])
    again = bus.one("eater")
    assert again.signal.replayed
    assert again.signal.id == dead["signal"]["id"]
    assert again.header["generation"] == 1
    assert bus.given("other") == []
    with pytest.raises(UsageError):
        bus.query("dead.replay", dead_letter_id=dead["dead_letter_id"])
    bus.settle("eater", again)
    assert bus.query("status")["dead_letters"] == {}


def test_a_refused_emit_is_replayed_as_new_after_a_fresh_check(home, buses):
    """Once the contract is mended, what was refused can be sent after all; before, it is refused again."""
    bus = buses()
    with pytest.raises(Exception, match="extra"):
        bus.emit(bus.make("person@root", "Q_ITEM_SEEN", {"n": 1, "pad": "", "extra": 1}))
    number = lines(home)[-1]["dead_letter_id"]
    with pytest.raises(Exception, match="extra"):
        bus.query("dead.replay", dead_letter_id=number)
    home.contract("Q_ITEM_SEEN", BIG | {"extra": {"type": "integer"}}, example={"n": 1, "pad": "", "extra": 1})
    bus = buses()
    bus.query("dead.replay", dead_letter_id=number)
    (found,) = home.signals("Q_ITEM_SEEN")
    assert found.facts["extra"] == 1
    assert found.id != lines(home)[-1]["signal"]["id"]


def test_a_dropped_letter_is_gone_and_bytes_that_are_no_json_can_only_be_dropped(home, buses):
    """`signal-tap dead` must never offer what cannot be done."""
    bus = buses()
    with pytest.raises(Exception, match="JSON"):
        bus.say("person@root", wire.EMIT, {}, b"\xff\xfe")
    assert lines(home)[0]["raw_base64"] == "//4="
    with pytest.raises(UsageError, match="dropped"):
        bus.query("dead.replay", dead_letter_id=1)
    bus.query("dead.drop", dead_letter_id=1)
    with pytest.raises(UsageError):
        bus.query("dead.drop", dead_letter_id=1)


def test_a_dead_letter_is_told_but_never_a_dead_letter_about_that(home, buses):
    """A reporter that fails must not make an avalanche of failures about failures."""
    home.manifest("reporter", consumes=["Q_DEAD_LETTER_ADDED"])
    bus = buses()
    bus.attach("eater")
    bus.attach("reporter")
    reject(bus, 1)
    told = bus.one("reporter")
    assert told.signal.facts["signal"] == "Q_ITEM_SEEN"
    bus.settle("reporter", told, verdict=wire.REJECT, error="cannot")
    assert [line["signal"]["signal"] for line in lines(home)] == ["Q_ITEM_SEEN", "Q_DEAD_LETTER_ADDED"]
    assert bus.given("reporter") == []


def test_dead_letters_over_their_budget_are_pruned_oldest_first_with_a_count(home, buses):
    """Failures must not fill the disk; what is left must still be readable and replayable."""
    bus = buses(dead_letter_bytes=65_536)
    bus.attach("eater")
    for n in range(30):
        reject(bus, n)
    bus.housekeeping.step()
    bus.turn()
    left = [line["dead_letter_id"] for line in lines(home)]
    assert home.paths.dead_letters.stat().st_size <= 65_536
    assert left == list(range(left[0], 31))
    assert bus.query("status")["dead_letters_pruned"] == left[0] - 1
    assert [dead["dead_letter_id"] for dead in home.dead()] == left
    bus.query("dead.replay", dead_letter_id=30)
    assert bus.one("eater").signal.facts["n"] == 29


# -- retention and pressure ----------------------------------------------------------------------------


BUDGET = 1 << 20


def keep_house(bus: InProcess, turns: int = 1) -> None:
    """A second passes: what is kept is looked after."""
    for _ in range(turns):
        bus.housekeeping.due_now("prune")
        bus.housekeeping.step()
        bus.turn()


def fill(bus: InProcess, count: int, size: int = 4000) -> None:
    for n in range(count):
        bus.emit(bus.make("person@root", "Q_ITEM_SEEN", {"n": n, "pad": "x" * size}))
        keep_house(bus)


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
    bus.emit(*(bus.make("person@root", "Q_ITEM_SEEN", {"n": n, "pad": ""}) for n in range(3)))
    while given := bus.given("eater"):
        bus.settle("eater", given[0])
    bus.settle("other", bus.one("other"))
    bus.say("other", wire.DETACH, {})
    keep_house(bus, 2)
    assert [signal.facts["n"] for signal in home.signals("Q_ITEM_SEEN")] == [1, 2]
    bus.store.put_seen(["other"], 0.0)
    keep_house(bus, 2)
    assert home.signals("Q_ITEM_SEEN") == []


def watch_lag(bus: InProcess, lag_signals: int) -> None:
    """A while passes: who is further behind than so many signals is told."""
    bus.housekeeping.limits = replace(bus.limits, lag_signals=lag_signals)
    bus.housekeeping.due_now("lag")
    bus.housekeeping.step()
    bus.turn()


def test_lag_is_told_when_it_begins_and_when_it_ends_and_not_in_between(home, buses):
    """A person must hear who is behind, once."""
    bus = buses()
    bus.attach("eater")
    for _ in range(3):
        bus.emit(*(bus.make("person@root", "Q_ITEM_SEEN", {"n": n, "pad": ""}) for n in range(10)))
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
    bus.emit(*(bus.make("person@root", "Q_ITEM_SEEN", {"n": n, "pad": ""}) for n in range(20)))
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
    bus.emit(bus.make("person@root", "Q_ITEM_SEEN", {"n": -1, "pad": ""}))
    in_hand = bus.one("eater")
    for _ in range(60):
        bus.emit(*(bus.make("person@root", "Q_ITEM_SEEN", {"n": n, "pad": ""}) for n in range(100)))
        keep_house(bus, 5)
    assert bus.state.used_bytes() < BUDGET * 0.95
    assert in_hand.seq not in [signal.seq for signal in home.signals("Q_ITEM_SEEN")]
    bus.settle("eater", in_hand, bus.make("eater", "Q_ITEM_DONE", {"n": 1, "pad": ""}))
    assert home.signals("Q_ITEM_DONE")[0].causation_id == in_hand.signal.id
    assert in_hand.seq not in [line["signal"]["seq"] for line in lines(home) if line["consumer"] == "eater"]


# -- the mirror ----------------------------------------------------------------------------------------


def test_the_mirror_s_counts_tell_a_slow_watcher_just_what_it_missed(tmp_path):
    """Who watches must know that the picture has holes, and how large they are."""
    with constellation(tmp_path) as home:
        home.contract(
            "Q_TICK_SEEN",
            {"n": {"type": "integer"}, "pad": {"type": "string"}},
            delivery="live",
            kind="sensor",
            example={"n": 1, "pad": ""},
        )
        home.manifest("ticker", emits=["Q_TICK_SEEN"])
        home.manifest("hearer", listens=["Q_TICK_SEEN"])
        home.bus()
        with (
            Raw(home.paths) as ticker,
            Raw(home.paths) as hearer,
            Subscription(home.paths.mirror_socket, ("Q_TICK_*",), high_water=10) as slow,
        ):
            hearer.attach("hearer")
            ticker.attach("ticker")
            while slow.head == 0:
                assert slow.wait(10)
            count = 0
            for _ in range(36):  # as many as one source may emit at once, however fast the bus takes them
                batch = [encode(ticker.make("Q_TICK_SEEN", {"n": n, "pad": "x" * 2000})) for n in range(500)]
                ticker.send(wire.LIVE, b"", *batch)
                count += 500
            status = ticker.query("status")
            assert hearer.push(wire.LIVE)
            seen = 0
            while seen + slow.missed.get("Q_TICK_SEEN", 0) < count:
                found = slow.next(0.1)
                seen += found is not None
            assert seen + slow.missed["Q_TICK_SEEN"] == count
            assert slow.missed["Q_TICK_SEEN"] > 0
            assert ticker.query("status")["head"] == status["head"]
            assert home.signals("Q_TICK_SEEN") == []
