"""Failures are kept, on file and in the table; who watches is told what it missed. If this fails, failures vanish."""

from dataclasses import replace

import orjson
import pytest

from signals import wire
from signals.envelope import encode
from signals.errors import UnauthorisedError, UsageError
from signals.live import Subscription
from tests.support.constellation import constellation
from tests.support.inprocess import ME
from tests.support.keeping import ITEM, emit, lines, reject
from tests.support.raw import Raw


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
    emit(bus, 2)
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


def test_what_has_expired_is_not_replayed_and_stays_a_dead_letter(home, buses):
    """The bus said "replayed" of a request that it then passed over: who replayed it waited for nothing."""
    past = "2020-01-01T00:00:00.000000Z"
    manifest = home.manifest("leaver", consumes=["Q_ITEM_SEEN"])
    bus = buses()
    bus.emit(bus.make("person@root", "Q_ITEM_SEEN", {"n": 1, "pad": ""}, expires_at=past))
    with pytest.raises(Exception, match="extra"):
        bus.emit(bus.make("person@root", "Q_ITEM_SEEN", {"n": 1, "pad": "", "extra": 1}, expires_at=past))
    manifest.unlink()
    bus = buses()
    home.manifest("leaver", consumes=["Q_ITEM_SEEN"])
    home.contract("Q_ITEM_SEEN", ITEM | {"extra": {"type": "integer"}}, optional=["extra"], example={"n": 1, "pad": ""})
    bus = buses()
    bus.attach("leaver")
    for number in (1, 2):
        with pytest.raises(UsageError, match="expired at"):
            bus.query("dead.replay", dead_letter_id=number)
    assert bus.given("leaver") == []
    assert sum(bus.query("status")["dead_letters"].values()) == 2


def test_a_refused_emit_is_replayed_as_new_after_a_fresh_check(home, buses):
    """Once the contract is mended, what was refused can be sent after all; before, it is refused again."""
    bus = buses()
    with pytest.raises(Exception, match="extra"):
        bus.emit(bus.make("person@root", "Q_ITEM_SEEN", {"n": 1, "pad": "", "extra": 1}))
    number = lines(home)[-1]["dead_letter_id"]
    with pytest.raises(Exception, match="extra"):
        bus.query("dead.replay", dead_letter_id=number)
    home.contract("Q_ITEM_SEEN", ITEM | {"extra": {"type": "integer"}}, example={"n": 1, "pad": "", "extra": 1})
    bus = buses()
    bus.query("dead.replay", dead_letter_id=number)
    (found,) = home.signals("Q_ITEM_SEEN")
    assert found.facts["extra"] == 1
    assert found.id != lines(home)[-1]["signal"]["id"]


def test_a_refused_emit_that_is_sent_again_is_one_dead_letter(home, buses):
    """A daemon that got no answer, since the bus was killed, sends it again: one mistake must not count as two."""
    mine = {"who": "eater", "attached": True}
    bus = buses()
    bus.attach("eater")
    wrong = bus.make("eater", "Q_ITEM_RARE", {"n": 1, "pad": ""})
    for _ in range(2):
        for _ in range(2):
            with pytest.raises(UnauthorisedError):
                bus.emit(wrong, **mine)
        bus = buses()
        bus.attach("eater")
    assert [letter["dead_letter_id"] for letter in home.dead()] == [1]
    assert len(home.signals("Q_DEAD_LETTER_ADDED")) == 1
    with pytest.raises(UnauthorisedError):
        bus.emit(wrong._replace(facts={"n": 2, "pad": ""}), **mine)
    bus.query("dead.drop", dead_letter_id=1)
    with pytest.raises(UnauthorisedError):
        bus.emit(wrong, **mine)
    assert [(letter["dead_letter_id"], letter["signal"]["facts"]["n"]) for letter in home.dead()] == [(2, 2), (3, 1)]


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
                assert slow.wait(60)
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
