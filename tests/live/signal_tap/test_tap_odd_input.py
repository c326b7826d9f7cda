"""Input that nobody means: it is refused in words, or does what it says, and never ends in a traceback."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.live.signal_tap.conftest import Told
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


@pytest.mark.parametrize("words", ["signal_tap types", "signal_tap hz -T", "signal_tap consumers", "ligand status"])
def test_a_table_on_a_very_narrow_terminal_still_shows_who(told: Told, words: str) -> None:
    """A split pane of a few columns breaks lines; it must not show an empty screen."""
    shown = said(told, words, columns=5).text
    assert "Q_ITEM" in shown or "link" in shown


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
