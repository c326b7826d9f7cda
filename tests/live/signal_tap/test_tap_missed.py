"""A tap that stands still while signals pour: it says what it missed, and the bus does not wait for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from signals import wire
from signals.envelope import encode
from signals.live import Subscription
from tests.live.signal_tap.conftest import ITEM, emit
from tests.live.signal_tap.following import AMPLE_S, Follower, follow
from tests.support.constellation import Constellation, constellation
from tests.support.raw import Raw, attached

LIVE = "Q_TOKEN_TOLD"
FLOOD = 9_000
"""More than the mirror keeps for a watcher (5,000) and the socket between them together."""
AT_ONCE = 100


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Constellation]:
    with furnished(tmp_path_factory.mktemp("missed")) as found:
        yield found


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Constellation]:
    """The same for one test, which kills the bus."""
    with furnished(tmp_path) as found:
        yield found


@contextmanager
def furnished(folder: Path) -> Iterator[Constellation]:
    """A bus with a durable signal, and a live one that the daemon `teller` may send."""
    with constellation(folder) as found:
        found.contract("Q_ITEM_START", ITEM, example={"n": 1, "pad": ""})
        found.contract(LIVE, ITEM, example={"n": 1, "pad": ""}, delivery="live")
        found.manifest("teller", emits=[LIVE])
        found.bus()
        yield found


class Teller:
    """Sends live signals and knows how many."""

    def __init__(self, client: Raw) -> None:
        self._client = client
        self.told = 0

    def tell(self, count: int) -> None:
        """The bus has taken all of them when this returns."""
        for _ in range(0, count, AT_ONCE):
            batch = range(self.told, self.told + min(AT_ONCE, count))
            self._client.send(wire.LIVE, b"", *(encode(self._client.make(LIVE, facts(n))) for n in batch))
            self.told += len(batch)
        self._client.query("status")


def facts(n: int) -> dict[str, object]:
    return {"n": n, "pad": "x" * 300}


@contextmanager
def watched(home: Constellation, *arguments: str) -> Iterator[tuple[Follower, Teller]]:
    """A tap that has shown all that was told so far, and who tells."""
    with follow(home, LIVE, "--live", *arguments) as tap, attached(home.paths, "teller") as client:
        teller = Teller(client)
        told_until(tap, teller, 0)
        yield tap, teller


def told_until(tap: Follower, teller: Teller, least: int) -> list[int]:
    """Tell on until something from `least` on is shown; the numbers that are, up to the last that was told."""
    shown = [-1]
    while shown[-1] < max(teller.told - 1, least):
        if tap.has_line():
            shown.append(tap.line()["facts"]["n"])
        else:
            teller.tell(1)
    return shown[1:]


def missed_in(notice: str) -> int:
    found = re.fullmatch(rf"-- missed (\d+) {LIVE} \(live signals are not kept\) --\n?", notice)
    assert found, notice
    return int(found[1])


def test_strict_ends_with_4_at_live_signals_that_were_missed(home: Constellation) -> None:
    """An archive of live signals with a hole must not look whole: what is missing is counted to the signal."""
    with watched(home, "--strict") as (tap, teller):
        before = teller.told
        tap.stop()
        teller.tell(FLOOD)
        tap.go_on()
        rest = [each["facts"]["n"] for each in tap.rest()]
        assert tap.ended() == 4
        missed = missed_in(tap.notice())
    assert missed > 0
    assert rest == list(range(before, before + len(rest)))
    assert len(rest) + missed == FLOOD


def test_without_strict_it_says_so_and_goes_on(home: Constellation) -> None:
    """A person who watches wants to see what comes next, and to know that something was lost."""
    with watched(home) as (tap, teller):
        before = teller.told
        tap.stop()
        teller.tell(FLOOD)
        tap.go_on()
        shown = told_until(tap, teller, before + FLOOD)
        missed = missed_in(tap.notice())
        assert missed > 0
        assert len(shown) + missed == teller.told - before
        assert tap.interrupt() == 130


def test_what_a_new_bus_showed_before_the_tap_was_back_is_counted(own: Constellation) -> None:
    """After an update of the bus an archive of live signals had holes that nobody could see."""
    with watched(own) as (tap, _):
        two_beacons(own)  # what the tap has shown is known to be of the bus before
        tap.stop()
        own.running[0].kill()
        own.bus()
        with attached(own.paths, "teller") as client:
            teller = Teller(client)
            teller.tell(AT_ONCE)
            tap.go_on()
            shown = told_until(tap, teller, AT_ONCE)
            missed, notices = 0, [""]
            while missed < max(AT_ONCE, teller.told - len(shown)):
                notices.append(tap.notice())
                missed += missed_in(notices[-1]) if LIVE in notices[-1] else 0
            assert missed == teller.told - len(shown)
            assert any("the bus was restarted" in notice for notice in notices)
        assert tap.interrupt() == 130


def test_strict_ends_with_4_at_a_restart_of_the_bus(own: Constellation) -> None:
    """What the bus showed in its last moment nobody can count: an archive must not look whole."""
    with watched(own, "--strict") as (tap, _):
        own.running[0].kill()
        own.bus()
        tap.rest()
        assert tap.ended() == 4


def two_beacons(home: Constellation) -> None:
    with Subscription(home.paths.mirror_socket, ()) as mirror:
        assert mirror.wait(AMPLE_S)
        assert mirror.wait(AMPLE_S)


def test_choice_and_count_hold_for_live_signals_that_come_together(home: Constellation) -> None:
    """`-c 5` in a script means five of those that were chosen, however many were waiting."""
    with (
        follow(home, LIVE, "--live", "-c", "5", "--where", "facts.n~[02468]$") as tap,
        attached(home.paths, "teller") as client,
    ):
        teller = Teller(client)
        shown = told_until(tap, teller, 0)
        tap.stop()
        teller.tell(AT_ONCE)
        tap.go_on()
        shown += [each["facts"]["n"] for each in tap.rest()]
        assert shown == list(range(shown[0], shown[0] + 10, 2))
        assert tap.ended() == 0


def test_a_tap_that_stands_still_stops_nobody_and_misses_nothing_durable(home: Constellation) -> None:
    """A laptop that sleeps with a tap open must not hold up the constellation, nor lose its own place."""
    with follow(home, "Q_ITEM_START", "--from", "first") as tap:
        emit(home, "first")
        tap.line()
        tap.stop()
        acknowledged = [seq for _ in range(40) for seq in emit(home, *("x" * 300 for _ in range(200)))]
        tap.go_on()
        assert tap.until(acknowledged[-1]) == acknowledged
        assert tap.interrupt() == 130
