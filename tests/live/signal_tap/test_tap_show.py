"""Looking back: with the bus up or down, at all of it or at what was asked for."""

from __future__ import annotations

import os
import subprocess

import orjson
import pytest

from tests.live.signal_tap.conftest import Told, emit
from tests.support.commands import command, environment, run_on_terminal, tap, within
from tests.support.constellation import ROOT, Constellation

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\u2028\r\x00end"


def journaled(home: Constellation) -> list[bytes]:
    with home.journal() as journal:
        return [raw for _, raw in journal.walk()]


def test_every_signal_is_shown_whole_with_the_bus_up_and_down(home: Constellation) -> None:
    """What a script archives from `show -o json --from first` must be the journal, byte for byte."""
    for _ in range(2):
        emit(home, *("x" * n for n in range(600)))
    up = tap(home.home, "show", "-o", "json", "--from", "first")
    assert (up.code, up.err) == (0, "")
    assert up.out.splitlines() == journaled(home)
    home.running[0].stop()
    down = tap(home.home, "show", "-o", "json", "--from", "first")
    assert (down.code, down.err) == (0, "")
    assert down.out.splitlines() == journaled(home)
    assert down.out.startswith(up.out)


def test_what_is_asked_for_is_shown(home: Constellation) -> None:
    """Each option narrows as its help says."""
    seqs = emit(home, *"abcdefgh")

    def numbers(*arguments: str) -> list[int]:
        return [each["seq"] for each in tap(home.home, "show", "-o", "json", *arguments).objects]

    assert numbers("Q_ITEM_*") == seqs
    assert numbers("Q_ITEM_START", "-n", "3") == seqs[-3:]
    assert numbers("Q_ITEM_START", "-n", "3", "--from", "first") == seqs[:3]
    assert numbers("--from", str(seqs[2]), "-n", "2") == seqs[2:4]
    assert numbers("Q_ITEM_*", "--from", "-2") == seqs[-2:]
    assert numbers("Q_ITEM_*", "-S", "-5min") == seqs
    assert numbers("--source", "person@*") == seqs
    assert numbers("--correlation", str(seqs[4])) == seqs[4:5]
    assert numbers("Q_ITEM_*", "-S", "2020-01-01", "--source", "person@*", "-n", "1") == seqs[:1]
    (ready,) = home.signals("Q_DAEMON_READY")
    with home.emitter() as emitter:  # an id is the bus's and a person's: each source has its own
        (second,) = emitter.emit(emitter.signal("Q_ITEM_NOTED", {"n": 1, "pad": ""})._replace(id=ready.id))
    assert [each["seq"] for each in tap(home.home, "get", ready.id, "-o", "json").objects] == [ready.seq, second]


@pytest.mark.parametrize(
    "arguments", [("Q_NOT_THERE",), ("--source", "nobody"), ("-S", "2199-01-01"), ("--from", "999999")]
)
def test_nothing_found_is_exit_code_1(told: Told, arguments: tuple[str, ...]) -> None:
    """A script asks whether something happened by the exit code."""
    found = tap(told.home, "show", *arguments)
    assert (found.code, found.out) == (1, b"")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "-S", "last week"), "is no time"),
        (("show", "--from", "last"), "'first'"),
        (("show", "-n", "0"), "Invalid value"),
        (("show", "q_x"), "neither a verb nor"),
        (("show", "-o", "xml"), "Invalid value"),
        (("shwo",), "Did you mean show?"),
        (("-n", "3", "show"), "Write the verb first"),
        (("show", "--home", "/nonexistent/home"), "There is no folder"),
    ],
)
def test_wrong_usage_is_exit_code_2(told: Told, arguments: tuple[str, ...], says: str) -> None:
    """Each message says what is wrong and what is right."""
    found = tap(told.home, *arguments)
    assert (found.code, found.out) == (2, b"")
    assert says in found.err
    assert "Traceback" not in found.err


def test_a_home_where_no_bus_ever_ran(tmp_path) -> None:
    """A mistyped home is told as such."""
    found = tap(tmp_path, "show")
    assert found.code == 2
    assert "no journal" in found.err


def test_hostile_facts_do_not_reach_the_terminal(shared: Constellation) -> None:
    """A fact from the web must not rename the window, clear the screen or flood it."""
    first, _ = emit(shared, HOSTILE, "y" * 60_000)
    show = ("show", "Q_ITEM_*", "--from", str(first))
    on_pipe = tap(shared.home, *show)
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\r", "\x00"} & set(on_pipe.text)
    assert [len(line) < 400 for line in on_pipe.lines] == [True, True]
    assert "\\x1b]0;owned\\x07" in on_pipe.text
    shown = within("signal_tap", shared.home, *show, "-n", "1", "-o", "json", columns=80)
    assert not {"\x1b", "\x9b", "\u202e", "\u2028"} & set(shown.text)
    assert orjson.loads(shown.text.strip())["facts"]["pad"] == HOSTILE


def test_colours_are_for_terminals(told: Told) -> None:
    """Escape codes in a file or a pipe break what reads it."""
    show = ("show", "Q_DAEMON_READY")
    assert "\x1b[" not in tap(told.home, *show).text
    assert "\x1b[" in tap(told.home, *show, "--color", "always").text
    assert "\x1b[" in run_on_terminal("signal_tap", told.home, *show).text
    for words, env in (((), {"NO_COLOR": "1"}), ((), {"TERM": "dumb"}), (("--color", "never"), {})):
        assert "\x1b[" not in within("signal_tap", told.home, *show, *words, env=env, columns=80).text
    assert "\x1b[" in within("signal_tap", told.home, *show, columns=80).text


def test_pretty_json_is_the_same_json(told: Told) -> None:
    """For reading one envelope whole."""
    found = tap(told.home, "get", str(told.items[0]), "-o", "json-pretty")
    assert orjson.loads(found.out) == orjson.loads(journaled(told.constellation)[told.items[0] - 1])
    assert found.text.startswith('{\n  "seq"')


def test_a_reader_that_leaves_ends_it_quietly(shared: Constellation) -> None:
    """`signal-tap show … | head -1` must not end in a traceback."""
    emit(shared, *("x" * 2000 for _ in range(900)))
    reading, writing = os.pipe()
    with subprocess.Popen(
        command("signal_tap", "show", "-o", "json", "--from", "first"),
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(shared.home),
        cwd=ROOT,
    ) as process:
        os.close(writing)
        assert os.read(reading, 10)
        os.close(reading)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"")


def test_a_full_disk_is_told(told: Told) -> None:
    """An archive that was cut short must not look whole."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("signal_tap", "show"),
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(told.home),
            cwd=ROOT,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"Error: Cannot write to standard output: No space left on device.\n")


def test_secrets_are_masked_in_every_output(shared: Constellation) -> None:
    """A token marked secret in its contract must not end up on a screen or in an archive."""
    with shared.emitter() as emitter:
        seq = emitter.emit(emitter.signal("Q_KEY_ADDED", {"token": "hunter2", "who": "me"}))[0]
    for arguments in (
        ("show",),
        ("show", "-o", "json"),
        ("show", "-o", "json-pretty"),
        ("trace", str(seq)),
        ("trace", str(seq), "-o", "json"),
        ("emit", "Q_KEY_ADDED", "token=hunter2", "who=me", "--dry-run"),
        ("emit", "Q_KEY_ADDED", "token=hunter2", "who=me", "--dry-run", "-o", "json"),
        ("emit", "Q_KEY_ADDED", "token=hunter2", "who:=7"),
    ):
        found = tap(shared.home, *arguments)
        assert "hunter2" not in found.text + found.err
        refused = "who:=7" in arguments
        assert (found.code, "***" in found.text) == ((2, False) if refused else (0, True))
