"""Nothing matched: a person is told what was searched and how to search wider, a script that asked for quiet is not."""

from __future__ import annotations

import pytest

from tests.live.signal_tap.conftest import Told
from tests.support.commands import tap

CASES = {
    "show Q_ITEM_STRAT": ("Nothing matched among #1 to #", "No Q_ITEM_STRAT is kept. Did you mean Q_ITEM_START?"),
    "show Q_NO": ("`signal-tap types` lists what is",),
    "show Q_HEARTBEAT": ("Q_HEARTBEAT is live and never journaled", "follow --live Q_HEARTBEAT"),
    "show Q_ITEM_START --where facts.n>99 -g x": ("-g, --where narrowed it further",),
    "show Q_ITEM_START --from 8": ("among #8 to #", "Further back: --from first"),
    "show Q_ITEM_START -U -1h": ("Nothing lies there; kept are #1 to #", "Later ones: leave -U out"),
    "follow -T Q_NO": ("Nothing matched among #1 to #",),
    "follow Q_NO -U now": ("Nothing matched among #",),
    "hz -T Q_NO": ("Nothing matched among #1 to #",),
    "bw -T Q_NO": ("Nothing matched among #1 to #",),
    "delay Q_NO": ("Nothing matched among #1 to #",),
    "record /dev/null --append -T Q_NO": ("Nothing matched among #1 to #", "0 signals recorded"),
    "types Q_NO": ("kinds of signals is named Q_NO", "--all also lists"),
    "consumers nobody": ("No consumer is named nobody. There are ", "link"),
    "consumers link --lagging": ("Nothing waits for 1 of ",),
    "dead list Q_NO": ("None of the 1 dead letters matches.",),
    "dead replay Q_NO --dry-run": ("No dead letter that waits matches",),
}


@pytest.mark.parametrize("words", CASES)
def test_what_was_searched_is_said_unless_quiet(told: Told, words: str) -> None:
    """An empty screen leaves a person guessing whether it was the name, the time or the filter."""
    found = tap(told.home, *words.split())
    assert (found.code, found.out) == (1, b"")
    assert [said for said in CASES[words] if said not in found.err] == []
    if not words.startswith("dead replay"):
        assert tap(told.home, *words.split(), "-q").err == ""
