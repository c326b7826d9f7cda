"""Tracing a story, who reads, and what failed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson
import pytest

from signals.emitter import person
from signals.errors import SchemaError
from tests.live.signal_tap.conftest import Told, emit, link, telling
from tests.support.commands import tap, within
from tests.support.constellation import Constellation


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Of its own: these tests say more."""
    with telling(tmp_path_factory.mktemp("told")) as found:
        yield found


def test_a_story_is_drawn_from_any_of_its_signals(told: Told) -> None:
    """Why did it do that? Who did it, how long it took, and what came of it."""
    good, bad = told.items[0], told.items[-1]
    whole = tap(told.home, "trace", str(good))
    assert whole.code == 0
    assert f"▶ Q_ITEM_START  #{good} person@" in whole.text
    done = told.constellation.signals("Q_ITEM_DONE")[0]
    assert f"└── Q_ITEM_DONE  #{done.seq} link  +" in whole.text
    for key in (done.id, done.id[:18], str(done.seq)):
        found = tap(told.home, "trace", key)
        assert f"▶ Q_ITEM_DONE  #{done.seq}" in found.text
    newest = told.constellation.signals("Q_ITEM_DONE")[-1]
    assert f"▶ Q_ITEM_DONE  #{newest.seq}" in tap(told.home, "trace", "Q_ITEM_DONE").text
    failed = tap(told.home, "trace", str(bad), "--color", "always")
    assert "dead letter 1: rejected at link" in failed.text
    assert "\x1b[31mdead letter" in failed.text
    assert "\\x1b[31m<b>[x]" in failed.text
    assert "\x1b[31m<b>" not in failed.text


def test_a_story_as_json(told: Told) -> None:
    """Envelopes as journaled, then the dead letters."""
    found = tap(told.home, "trace", str(told.items[-1]), "-o", "json").objects
    assert [each.get("signal") for each in found[:-1]] == ["Q_ITEM_START", "Q_DEAD_LETTER_ADDED"]
    assert found[-1]["dead_letter_id"] == 1


def test_what_is_not_one_story_is_told(told: Told) -> None:
    """A beginning that fits several stories lists them."""
    prefix = told.constellation.signals("Q_ITEM_START")[0].id[:8]
    several = tap(told.home, "trace", prefix)
    assert several.code == 2
    assert f"{told.items[1]}  Q_ITEM_START" in several.err
    assert tap(told.home, "trace", "99999").code == 1
    assert tap(told.home, "trace", "0" * 32).code == 1
    odd = tap(told.home, "trace", "xyz")
    assert (odd.code, "is no id" in odd.err) == (2, True)
    mistyped = tap(told.home, "trace", "Q_ITEM_STRAT")
    assert (mistyped.code, "Did you mean Q_ITEM_START?" in mistyped.err) == (1, True)


def test_consumers_with_the_bus_up_and_down(home: Constellation) -> None:
    """Who is behind is asked most when something is down."""
    emit(home, "a", "b")
    up = tap(home.home, "consumers", "-o", "json")
    mine = next(each for each in up.objects if each["consumer"] == "link")
    assert (mine["lag"], mine["attached"], up.err) == (2, False, "")
    assert "link" in tap(home.home, "consumers").text
    home.running[0].stop()
    down = tap(home.home, "consumers", "-o", "json")
    mine = next(each for each in down.objects if each["consumer"] == "link")
    assert (down.code, mine["lag"], mine["behind"] >= 2) == (0, None, True)
    assert "journal" in down.err
    assert "≤" in tap(home.home, "consumers").text


def test_dead_letters_are_listed_shown_replayed_and_dropped(home: Constellation) -> None:
    """What failed can be read with the bus down, and given another chance with it up."""
    emit(home, "bad one", "bad two \x1b[31m")
    link(home)
    home.wait_for("Q_DEAD_LETTER_ADDED", 2)

    def dead(*arguments: str):
        return tap(home.home, "dead", *arguments)

    assert [each["dead_letter_id"] for each in dead("list", "-o", "json").objects] == [1, 2]
    listed = dead("list", "Q_ITEM_*", "--reason", "rejected")
    assert len(listed.lines) == 2
    assert "\x1b" not in listed.text
    assert "the pad is bad: bad one" in listed.text
    assert dead("list", "--reason", "poison").code == 1
    assert "the pad is bad: bad two \\x1b[31m" in dead("show", "2").text
    assert orjson.loads(dead("show", "2", "-o", "json").out)["signal"]["facts"]["pad"] == "bad two \x1b[31m"
    assert dead("show", "77").code == 1
    replayed = dead("replay", "1", "77")
    assert (replayed.code, replayed.text) == (1, "replayed 1\n")
    assert replayed.err.startswith("77: ")
    home.wait_for("Q_DEAD_LETTER_ADDED", 3)  # it failed again
    assert dead("drop", "2", "3").text == "dropped 2\ndropped 3\n"
    assert dead("list").code == 1
    assert [each["status"] for each in dead("list", "--all", "-o", "json").objects] == [
        "replayed",
        "dropped",
        "dropped",
    ]
    home.running[0].stop()
    assert dead("list", "--all").code == 0
    assert dead("replay", "1").code == 3


def test_a_story_as_a_graph_for_other_programs(told: Told) -> None:
    """Mermaid and Graphviz show the same nodes; what a fact says cannot end a label."""
    bad = told.items[-1]
    mermaid = tap(told.home, "trace", "--mermaid", str(bad))
    assert mermaid.lines[0] == "flowchart TD"
    assert f'n1["Q_ITEM_START<br/>#35;{bad} {person()}"]' in mermaid.text
    assert "dead letter 1: rejected at link<br/>the pad is bad: bad #92;x1b#91;31m#60;b#62;" in mermaid.text
    assert any(line.startswith("  n1 -->") and line.endswith(" n2") for line in mermaid.lines)
    dot = tap(told.home, "trace", "--dot", str(bad))
    assert dot.lines[0] == "digraph story {"
    assert dot.lines[-1] == "}"
    assert "color=red, fontcolor=red];" in dot.text
    assert "bad \\\\x1b[31m" in dot.text
    assert tap(told.home, "trace", "--dot", "-o", "json", str(bad)).code == 2


def test_a_refused_emit_stands_in_its_story(told: Told) -> None:
    """A loop that was ended, or facts that did not fit, are part of why nothing more came."""
    root = told.constellation.signals("Q_ITEM_START")[0]
    with told.constellation.emitter() as emitter:
        wrong = emitter.signal("Q_ITEM_DONE", {"n": "x"}, causation_id=root.id)
        with pytest.raises(SchemaError):
            emitter.emit(wrong)
    text = tap(told.home, "trace", root.id).text
    assert "dead letter 2: schema at uid" in text
    assert "Q_ITEM_DONE was refused" in text


def test_the_same_story_on_a_terminal(told: Told) -> None:
    """Colours apart, the tree is the one a script gets."""
    shown = within("signal_tap", told.home, "trace", str(told.items[-1]), columns=200)
    assert "\x1b[31mdead letter 1" in shown.text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.text.replace("\r\n", "\n"))
    assert plain == tap(told.home, "trace", str(told.items[-1])).text
