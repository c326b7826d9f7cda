"""Input that nobody means: it is refused in words, or does what it says, and never ends in a traceback."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.live.signal_tap.conftest import Told
from tests.support.both import COLOURS
from tests.support.commands import Done, command, environment, within

HUGE = "9" * 30


def said(told: Told, words: str, columns: int = 0) -> Done:
    program, *arguments = words.split(" ")
    done = within(program, told.home, *(argument.replace("{}", "") for argument in arguments), columns=columns)
    assert "Traceback" not in done.err
    assert "Warning" not in done.err
    return done


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (f"signal_tap dead show {HUGE}", 2, "Invalid value"),
        (f"signal_tap dead list {HUGE}", 1, ""),
        (f"signal_tap get {HUGE}", 1, "has no signal"),
        ("signal_tap show -g [[:alpha:]]", 2, "no regular expression"),
        ("signal_tap emit Q_ITEM_START n:=1 pad=x -r nan -c 1", 2, "no number to count with"),
        ("ligand journal prune --keep-days nan --dry-run", 2, "no number to count with"),
        ("ligand journal prune --keep-days inf --dry-run", 2, "36500"),
        (f"ligand journal prune --keep-days {HUGE} --dry-run", 2, "36500"),
        ("ligand status --watch --every nan -c 1", 2, "no number to count with"),
        ("ligand intent Why? --wait --timeout inf", 2, "no number to count with"),
        ("ligand journal export - -S {}", 2, "is no time"),
        ("ligand config show {}", 2, "no daemon"),
    ],
)
def test_numbers_and_words_that_cannot_be_meant(told: Told, words: str, code: int, says: str) -> None:
    """An empty variable in a script, or a slip of the hand, must not be taken for a wish."""
    done = said(told, words)
    assert (done.code, done.out) == (code, b"")
    assert says in done.err


NAMED = {
    "signal_tap show Q_ITEM_*": {"Q_ITEM_START", "Q_ITEM_DONE"},
    "signal_tap types Q_ITEM_*": {"Q_ITEM_START", "Q_ITEM_DONE"},
    "signal_tap hz -T Q_ITEM_*": {"Q_ITEM_START", "Q_ITEM_DONE"},
    "signal_tap bw -T Q_ITEM_*": {"Q_ITEM_START", "Q_ITEM_DONE"},
    "signal_tap delay Q_ITEM_*": {"Q_ITEM_START", "Q_ITEM_DONE"},
    "signal_tap dead list": {"Q_ITEM_START"},
    "signal_tap consumers link inv*": {"link", "investigator", "investigator.critical"},
    "ligand status": {"link", "investigator", "capability_integrator"},
}


@pytest.mark.parametrize("columns", [10, 24, 40, 60])
@pytest.mark.parametrize("words", NAMED)
def test_on_a_narrow_terminal_names_stay_and_nothing_wraps(told: Told, words: str, columns: int) -> None:
    """In a split pane, or on a telephone, a wrapped table is rubbish: what matters least is left out, never who."""
    lines = COLOURS.sub("", said(told, words, columns=columns).text).splitlines()
    assert [line for line in lines if cell_len(line) > columns] == []
    short = columns - 3 - 2 * words.startswith("signal_tap dead")  # a number stands before the name
    assert [name for name in NAMED[words] if name[:short] not in "\n".join(lines)] == []


@pytest.mark.parametrize("words", NAMED)
def test_a_terminal_of_a_few_columns_is_not_empty(told: Told, words: str) -> None:
    """It breaks the lines; it must not show nothing at all."""
    assert said(told, words, columns=5).text.strip()


def test_the_columns_that_matter_least_go_first(told: Told) -> None:
    """Who is behind is what one looks for; how often something was redelivered can wait for a wider terminal."""
    words = "signal_tap consumers"
    kept = {columns: COLOURS.sub("", said(told, words, columns=columns).lines[0]) for columns in (20, 40, 60, 110)}
    assert kept[20].split() == ["CONSUMER"]
    assert kept[40].split() == ["CONSUMER", "LAG"]
    assert "STATE" in kept[60]
    assert "REDELIVERED" not in kept[60]
    assert "REDELIVERED" in kept[110]


@pytest.mark.parametrize("words", [("status",), ("map",), ("journal", "export", "-"), ("--help",)])
def test_a_full_disk_and_a_closed_pipe_end_ligand_in_words_or_quietly(told: Told, words: tuple[str, ...]) -> None:
    """`ligand … | head -1` is no error, and a report that was cut short must not look whole."""
    with open("/dev/full", "wb") as full:
        cut = subprocess.run(
            command("ligand", *words), stdout=full, stderr=subprocess.PIPE, env=environment(told.home), check=False
        )
    assert (cut.returncode, cut.stderr) == (1, b"Error: Cannot write to standard output: No space left on device.\n")
    reading, writing = os.pipe()
    os.close(reading)
    gone = subprocess.run(
        command("ligand", *words), stdout=writing, stderr=subprocess.PIPE, env=environment(told.home), check=False
    )
    os.close(writing)
    assert (gone.returncode, gone.stderr) == (0, b"")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"pid": "x"}'])
def test_what_ligand_up_wrote_may_be_damaged(tmp_path: Path, text: str) -> None:
    """A power cut may leave half a file; `ligand status` is what a person looks at then."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "units.json").write_text(text)
    (tmp_path / "run" / "up.lock").write_text("1")
    for words, code in ((("status",), 3), (("doctor", "-q"), 0)):
        done = within("ligand", tmp_path, *words)
        assert (done.code, "Traceback" in done.err) == (code, False)


def test_a_home_that_is_a_file_is_told(tmp_path: Path) -> None:
    """The message names the path; a traceback would not help."""
    home = tmp_path / "file"
    home.write_text("")
    for words in (("status",), ("intent", "Why?"), ("doctor", "-q")):
        done = within("ligand", home, *words)
        assert done.code != 0
        assert "Traceback" not in done.err
        assert str(home) in done.err + done.text
