"""A reader that takes its time: what came meanwhile is shown before anything ends, and what was pruned is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import orjson
import pytest

from tests.live.signal_tap.conftest import emit
from tests.live.signal_tap.following import follow
from tests.support.commands import ligand
from tests.support.constellation import Constellation
from tools.cli import OK, TIMED_OUT
from tools.signal_tap import stopping
from tools.signal_tap.feed import Feed
from tools.signal_tap.options import Choice, Ending, Look
from tools.signal_tap.output import View

ITEM = "Q_ITEM_START"


def feed(home: Constellation, ending: Ending) -> Feed:
    view = View.of(home.home, Look(form="json", quiet=True))
    return Feed.of(view, Choice(names=(ITEM,), start="first"), ending)


def first_of(batches: Iterator[list[bytes]]) -> list[bytes]:
    return next(batch for batch in batches if batch)


def last_arrival_us(home: Constellation) -> int:
    return round(datetime.fromisoformat(str(home.signals(ITEM)[-1].received_at)).timestamp() * 1e6)


def pads(raws: list[bytes]) -> list[str]:
    return [orjson.loads(raw)["facts"]["pad"] for raw in raws]


def test_until_shows_all_that_came_by_then_however_slow_the_reader(
    home: Constellation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report up to an hour must not lack what came while the program that reads it was busy."""
    monkeypatch.setattr(stopping, "GRACE_S", 0.0)
    emit(home, "early")
    follow = feed(home, Ending())
    batches = iter(follow)
    assert pads(first_of(batches)) == ["early"]
    emit(home, "while it was read")
    follow.stop.until_us = last_arrival_us(home)
    assert [pad for batch in batches for pad in pads(batch)] == ["while it was read"]
    assert follow.code == OK


def test_the_time_that_the_reader_takes_is_no_silence(home: Constellation) -> None:
    """`-W` tells a script that nothing came; with signals waiting in the journal that is a lie."""
    emit(home, "early")
    follow = feed(home, Ending(idle="1us"))
    batches = iter(follow)
    assert pads(first_of(batches)) == ["early"]
    emit(home, "while it was read")
    assert [pad for batch in batches for pad in pads(batch)] == ["while it was read"]
    assert follow.code == TIMED_OUT


def note(home: Constellation, *pads: str) -> list[int]:
    """Emit signals that no daemon consumes; their sequence numbers."""
    with home.emitter() as emitter:
        return emitter.emit(*(emitter.signal("Q_ITEM_NOTED", {"n": 1, "pad": pad}) for pad in pads))


@pytest.mark.parametrize("strict", [False, True])
def test_what_retention_takes_under_a_slow_reader_is_named(home: Constellation, strict: bool) -> None:
    """An archive behind a slow pipe must not lack signals without a word: each is shown, or named as pruned."""
    for _ in range(15):
        note(home, *("x" * 500 for _ in range(200)))  # many times what a pipe and a page hold
    with follow(home, "--from", "first", *(("--strict",) if strict else ())) as tap:
        shown = [tap.line()["seq"]]
        assert ligand(home.home, "journal", "prune", "--keep-days", "0").code == 0
        (last,) = note(home, "after")
        if strict:
            shown += [each["seq"] for each in tap.rest()]
            assert tap.ended() == 4
        else:
            shown += tap.until(last)
            assert tap.interrupt() == 130
        notice = re.fullmatch(r"-- (\d+) signals were past their retention .*: (\d+) to (\d+) --\n?", tap.notice())
        assert notice
        count, first, upto = map(int, notice.groups())
        assert (count, count > 1000) == (upto - first + 1, True)
        assert shown == [*range(1, first), *([] if strict else range(upto + 1, last + 1))]
