"""Every way to show, on a terminal and on a pipe."""

from __future__ import annotations

import csv
import io
import re

import orjson
import pytest

from tests.live.signal_tap.conftest import Told
from tests.support.commands import run, run_on_terminal, tap, within

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
FORMS = ("short", "short-iso", "json", "json-pretty", "cat", "csv", "cloudevents")
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]")


@pytest.mark.parametrize("form", FORMS)
def test_a_terminal_and_a_pipe_get_the_same(told: Told, form: str) -> None:
    """What a person saw on the screen is what a script gets, colours and the terminal's own line ends apart."""
    show = ("show", "Q_ITEM_*", "Q_KEY_ADDED", "-o", form)
    in_process = form not in ("short", "json")  # for these two, real processes too
    piped = tap(told.home, *show) if in_process else run("signal_tap", told.home, *show)
    on_terminal = within if in_process else run_on_terminal
    shown = on_terminal("signal_tap", told.home, *show, columns=200)
    assert (piped.code, shown.code, piped.err) == (0, 0, "")
    assert ESCAPE.sub("", shown.text.replace("\r\n", "\n")) == piped.text
    assert not STEERING.search(piped.text)
    assert "hunter2" not in piped.text
    assert tap(told.home, *show).out == piped.out


def test_lines_are_cut_to_the_terminal_unless_full(told: Told) -> None:
    """A line that wraps makes a table unreadable; --full shows all of it."""
    arguments = ("show", "Q_ITEM_*", "Q_DEAD_LETTER_ADDED", "--color", "never")
    narrow = within("signal_tap", told.home, *arguments, columns=60)
    assert {len(line) <= 60 for line in narrow.lines} == {True}
    assert "…" in narrow.text
    full = within("signal_tap", told.home, *arguments, "--full", columns=60)
    assert "…" not in full.text
    assert "dead_letter_id=1 signal=Q_ITEM_START daemon=link reason=rejected" in full.text


def test_times_in_utc_since_the_one_before_and_since_the_first(told: Told) -> None:
    """A delay is read off, not computed."""
    first = told.constellation.signals("Q_ITEM_START")[0]
    iso = tap(told.home, "show", "Q_ITEM_START", "-o", "short-iso", "--utc").lines
    assert iso[0].startswith(str(first.received_at))
    short = tap(told.home, "show", "Q_ITEM_START", "--utc").lines
    assert short[0].startswith(str(first.received_at)[5:23].replace("T", " "))
    delta = [float(line.split()[0]) for line in tap(told.home, "show", "Q_ITEM_START", "-t", "delta").lines]
    zero = [float(line.split()[0]) for line in tap(told.home, "show", "Q_ITEM_START", "-t", "zero").lines]
    assert delta[0] == zero[0] == 0
    assert zero[-1] == pytest.approx(sum(delta), abs=1e-5)


def test_fields_choose_what_is_shown(told: Told) -> None:
    """Only what is wanted reaches the next program, each thing in its place."""
    only = ("show", "Q_KEY_ADDED", "--fields", "seq,facts.who,facts.token,facts.absent")
    assert tap(told.home, *only, "-o", "json").objects == [{"seq": told.secret, "facts": {"who": "me", "token": "***"}}]
    assert tap(told.home, *only, "-o", "csv").lines == [
        "seq,facts.who,facts.token,facts.absent",
        f"{told.secret},me,***,",
    ]
    assert tap(told.home, *only, "-o", "cat").text == f"{told.secret}\tme\t***\t\n"
    assert tap(told.home, *only).text.rstrip().endswith(f"seq={told.secret} facts.who=me facts.token=***")


def test_csv_is_read_by_other_programs(told: Told) -> None:
    """A comma or a quotation mark in a fact must not shift the columns."""
    rows = list(csv.DictReader(io.StringIO(tap(told.home, "show", "Q_ITEM_START", "-o", "csv").text)))
    assert [int(row["seq"]) for row in rows] == told.items
    assert orjson.loads(rows[0]["facts"]) == {"n": 0, "pad": "one"}


def test_cloudevents_are_whole(told: Told) -> None:
    """What another system needs to take our signals in: the attributes that CloudEvents 1.0 requires."""
    (found,) = tap(told.home, "show", "Q_ITEM_DONE", "-n", "1", "-o", "cloudevents").objects
    done = told.constellation.signals("Q_ITEM_DONE")[-1]
    assert (found["specversion"], found["id"], found["type"]) == ("1.0", done.id, "Q_ITEM_DONE")
    assert (found["data"], found["time"]) == (done.facts, done.timestamp)
    assert found["source"].endswith("/ligand/link")
    assert (found["correlationid"], found["causationid"]) == (done.correlation_id, done.causation_id)
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in found)


def test_get_shows_one_signal_by_number_or_id(told: Told) -> None:
    """What was printed anywhere leads back to the signal."""
    signal = told.constellation.signals("Q_ITEM_START")[0]
    by_number = tap(told.home, "get", str(signal.seq))
    assert by_number.out == tap(told.home, "get", signal.id).out
    assert orjson.loads(by_number.out)["facts"] == signal.facts
    assert tap(told.home, "get", str(told.secret), "-o", "cat").objects == [{"token": "***", "who": "me", "n": 7}]
    assert [each["seq"] for each in tap(told.home, "get", *map(str, told.items), "-o", "json").objects] == told.items
    newest = told.constellation.signals(signal.signal)[-1]
    assert tap(told.home, "get", signal.signal).out == tap(told.home, "get", newest.id).out
    assert tap(told.home, "get", "999999").code == 1
    assert tap(told.home, "get", "nonsense").code == 2
    assert tap(told.home, "get").code == 2
