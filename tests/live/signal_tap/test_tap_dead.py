"""Dead letters chosen by what they are, and given another chance."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.signal_tap.conftest import Told, emit
from tests.support.commands import tap
from tests.support.constellation import Constellation

CHAIN = Path(__file__).parents[2] / "support" / "chain.py"
FAILING = Path(__file__).parents[2] / "support" / "failing.py"


def numbers(told: Told, *arguments: str) -> list[int]:
    return [each["dead_letter_id"] for each in tap(told.home, "dead", "list", "-o", "json", *arguments).objects]


def test_dead_letters_are_chosen_by_signal_daemon_reason_and_age(told: Told) -> None:
    """After an accident there are many, and only some are to be tried again."""
    assert numbers(told) == [1]
    for fitting in (
        ("1",),
        ("Q_ITEM_*",),
        ("--daemon", "link"),
        ("--reason", "rejected"),
        ("-S", "-1h"),
        ("-U", "now"),
    ):
        assert numbers(told, *fitting) == [1]
    for other in (
        ("2",),
        ("Q_ITEM_DONE",),
        ("--daemon", "other"),
        ("--reason", "poison"),
        ("-S", "+1h"),
        ("-U", "-1h"),
    ):
        assert tap(told.home, "dead", "list", *other).code == 1
    dry = tap(told.home, "dead", "replay", "--daemon", "li*", "--dry-run")
    assert (dry.code, dry.text) == (0, "would be replayed: 1\n")
    assert tap(told.home, "dead", "drop", "--reason", "rejected", "-U", "-1h").code == 1
    assert numbers(told) == [1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("replay",), "Say which"),
        (("drop",), "Say which"),
        (("list", "--reason", "bored"), "no reason"),
        (("list", "lower"), "neither a verb nor"),
        (("list", "-S", "soon"), "no time"),
        (("show", "0"), "Invalid value"),
    ],
)
def test_what_is_mistyped_changes_nothing(told: Told, arguments: tuple[str, ...], says: str) -> None:
    """A slip of the hand must not replay or drop all of them."""
    found = tap(told.home, "dead", *arguments)
    assert (found.code, found.out) == (2, b"")
    assert says in found.err


def test_replay_after_mending_completes_the_story_once_and_reaches_that_daemon_alone(home: Constellation) -> None:
    """The other consumer of the same signal must not handle it twice."""
    home.contract("Q_ITEM_NOTED", {"n": {"type": "integer"}, "pad": {"type": "string"}}, example={"n": 1, "pad": ""})
    home.manifest("noter", consumes=["Q_ITEM_START"], emits=["Q_ITEM_NOTED"])
    home.running[0].stop()
    home.bus()
    failing = home.script("link", FAILING, "link", "Q_ITEM_START", "Q_ITEM_DONE").ready()
    home.script("noter", CHAIN, "noter", "Q_ITEM_START", "Q_ITEM_NOTED").ready()
    (seq,) = emit(home, "bad luck")
    home.wait_for("Q_DEAD_LETTER_ADDED")
    home.wait_for("Q_ITEM_NOTED")
    failing.stop()
    home.script("link", CHAIN, "link", "Q_ITEM_START", "Q_ITEM_DONE").ready()
    assert tap(home.home, "dead", "replay", "--daemon", "link", "--reason", "rejected").text == "replayed 1\n"
    home.wait_for("Q_ITEM_DONE")
    assert tap(home.home, "dead", "replay", "1").code == 1
    emit(home, "after it")
    home.wait_for("Q_ITEM_DONE", 2)
    home.wait_for("Q_ITEM_NOTED", 2)
    story = tap(home.home, "trace", str(seq), "-o", "json").objects
    assert [each.get("signal") for each in story[:-1]] == [
        "Q_ITEM_START",
        *sorted(("Q_DEAD_LETTER_ADDED", "Q_ITEM_NOTED"), key=[each.get("signal") for each in story].index),
        "Q_ITEM_DONE",
    ]
    assert (story[-1]["dead_letter_id"], story[-1]["status"]) == (1, "replayed")
