"""Watching: nothing durable is passed over, whatever happens to the bus."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import orjson
import pytest
import zmq

from signals.live import Subscription
from signals.wire import BEACON, WOKEN
from tests.live.signal_tap.conftest import Told, emit
from tests.live.signal_tap.following import AMPLE_S, follow
from tests.support.commands import ligand, started, tap
from tests.support.constellation import Constellation
from tools.signal_tap.__main__ import VERBS
from tools.signal_tap.following import Tail
from tools.signal_tap.selection import Selection

MANY = 200


def test_without_a_verb_it_follows_and_ctrl_c_is_130(home: Constellation) -> None:
    """`signal-tap` alone watches, beginning with a few earlier signals."""
    emit(home, "before")
    with follow(home) as watching:
        assert watching.line()["signal"] == "Q_DAEMON_READY"
        assert watching.line()["facts"]["pad"] == "before"
        emit(home, "now")
        assert watching.line()["facts"]["pad"] == "now"
        assert watching.interrupt() == 130
    home.running[0].stop()
    without = tap(home.home)
    assert (without.code, without.out) == (3, b""), "a person would wait before an empty screen"
    assert "ligand up" in without.err


def test_nothing_is_passed_over_while_signals_pour_and_the_bus_is_killed(home: Constellation) -> None:
    """A tap that misses signals under load or around a restart cannot be trusted to tell what happened."""
    with follow(home, "follow", "--from", "first") as tap:
        pouring = threading.Thread(target=lambda: [emit(home, *("x" * 500 for _ in range(200))) for _ in range(20)])
        pouring.start()
        first = tap.until(20 * 200)
        pouring.join()
        home.running[0].kill()
        assert "does not answer" in tap.notice()
        home.bus()
        last = emit(home, "after the restart")[0]
        seen = first + tap.until(last)
        assert seen == list(range(1, last + 1))
        assert "is back" in tap.notice()
        assert tap.interrupt() == 130


def test_a_journal_that_is_replaced_ends_a_tap_and_no_recording_goes_on_in_it(home: Constellation) -> None:
    """After a restore the same numbers are other signals: a tap that stayed would be silent for ever."""
    folder, file = home.home / "copy", home.home / "recording"
    assert ligand(home.home, "journal", "backup", str(folder)).code == 0
    emit(home, "not in the backup")
    assert tap(home.home, "record", str(file), "--from", "first", "-T").code == 0
    with follow(home, "follow", "--from", "first") as watching:
        while watching.line()["facts"].get("pad") != "not in the backup":
            pass
        home.running[0].stop()
        assert ligand(home.home, "journal", "restore", str(folder), "--yes").code == 0
        home.bus()
        emit(home, "after the restore", "and more", "and more")
        while "the journal was replaced" not in watching.notice():
            pass  # it may say that the bus went and came
        assert watching.ended() == 4
    again = tap(home.home, "record", str(file), "--append", "-T")
    assert again.code == 2
    assert "was recorded from another journal" in again.err


def test_names_and_sources_narrow_what_is_followed(home: Constellation) -> None:
    """Watching one thing must not show another."""
    with follow(home, "Q_ITEM_*", "--source", "person@*", "--from", "first") as tap:
        seqs = emit(home, "a", "b")
        assert [tap.line()["seq"], tap.line()["seq"]] == seqs
        assert tap.interrupt() == 130


def test_live_signals_are_shown_when_asked_for(told: Told) -> None:
    """Heartbeats are never journaled; only --live shows them."""
    with follow(told.constellation, "--live", "Q_HEARTBEAT") as tap:
        beat = tap.line()
        assert (beat["signal"], "seq" in beat) == ("Q_HEARTBEAT", False)
        assert tap.interrupt() == 130


def test_missed_live_signals_are_counted_once(told: Told) -> None:
    """Who watches must know what they did not see."""
    with Tail(told.constellation.paths, Selection(), 0, is_live=lambda name: name == "Q_HEARTBEAT", live=True) as tail:
        assert isinstance(tail._mirror, Subscription)
        tail._mirror.missed = {"Q_HEARTBEAT": 3, "Q_ITEM_START": 5}
        assert tail.missed() == {"Q_HEARTBEAT": 3}
        assert tail.missed() == {}
        tail._mirror.missed["Q_HEARTBEAT"] = 4
        assert tail.missed() == {"Q_HEARTBEAT": 1}


def test_a_tap_is_told_of_a_commit_not_of_each_signal(home: Constellation) -> None:
    """A tap that is open all day must not cost the bus a message for every signal, whatever it follows."""
    everything, one, several = (
        Selection(),
        Selection(names=("Q_ITEM_START",)),
        Selection(names=("Q_ITEM_*", "Q_KEY_ADDED")),
    )
    for selection in (everything, one, several):
        with Tail(home.paths, selection, 0) as tail:
            assert tail.wait(AMPLE_S) is not None  # the first beacon: it is subscribed now
            last = emit(home, *["x"] * MANY)[-1]
            sent = list(messages_until(tail, last))
        assert set(sent) == {WOKEN}
        assert len(sent) < MANY / 10, "besides this one only the bus's own heartbeats were committed"


def messages_until(tail: Tail, head: int) -> Iterator[bytes]:
    """What the bus's mirror sends to a tap, beacons left out, until one says that it has come so far."""
    tail._mirror.socket.setsockopt(zmq.RCVTIMEO, AMPLE_S * 1000)
    while True:
        topic, *rest = tail._mirror.socket.recv_multipart()
        if topic != BEACON:
            yield topic
        elif orjson.loads(rest[0])["head"] >= head:
            return


def test_a_reader_that_leaves_ends_it_though_nothing_happens(told: Told) -> None:
    """A forgotten tap behind a closed pipe would run for ever."""
    with started("signal_tap", told.home) as process:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 10)
        process.stdout.close()
        assert process.wait(AMPLE_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_contradicting_options_are_refused(told: Told) -> None:
    """-n and --from both say where to begin."""
    found = tap(told.home, "-n", "3", "--from", "first")
    assert (found.code, "-n says" in found.err) == (2, True)


@pytest.mark.parametrize("verb", ["", *VERBS, "dead list", "dead show", "dead replay", "dead drop"])
def test_help_answers_within_80_columns(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--help` is where people begin; on the narrowest terminal too."""
    monkeypatch.setenv("COLUMNS", "80")
    found = tap(None, *verb.split(), "--help")
    assert max(map(len, found.lines)) <= 80
    assert found.code == 0
    assert "Usage: signal-tap" in found.text
