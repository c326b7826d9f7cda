"""Unit files are read as systemd reads them, or refused with the line."""

from __future__ import annotations

import math
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.required import program
from tools.ligand.unit_syntax import UnitError, expand, parse, split_words, substitute, time_span

WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
KEY = st.text(st.sampled_from("ABCxyz-"), min_size=1, max_size=6)
VALUE = st.text(st.characters(exclude_characters="\\\n\r\0", exclude_categories=["Cs"]), max_size=20).map(
    lambda text: text.strip()
)
NOISE = st.sampled_from(["", "# a comment", "  ; another = one \\", "   "])


def quoted(word: str) -> str:
    """A word as systemd.syntax(7) wants it in double quotes."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@given(st.lists(WORD, max_size=5))
def test_quoted_words_come_back(words: list[str]) -> None:
    """A path with spaces or quotes reaches the program as it is."""
    assert split_words(" ".join(map(quoted, words)), "x:1") == words


@given(st.lists(st.tuples(KEY, VALUE, NOISE), max_size=6))
def test_assignments_come_back_through_comments(rows: list[tuple[str, str, str]]) -> None:
    """Comments and blank lines anywhere change nothing."""
    lines = [line for key, value, noise in rows for line in (noise, f"{key} = {value}")]
    found = parse("\n".join(["[Service]", *lines]), "x")
    assert [(entry.key, entry.value) for entry in found] == [(key, value) for key, value, _ in rows]


@given(st.lists(st.text(st.sampled_from("ab\"'"), min_size=1, max_size=5), min_size=1, max_size=5), NOISE)
def test_continued_lines_are_one(parts: list[str], noise: str) -> None:
    """A long command line may be broken, with comments in between."""
    comment = f"\n{noise}" if noise.strip().startswith(("#", ";")) else ""
    text = "[S]\nKey=" + f" \\{comment}\n  ".join(parts) + "\nOther=1"
    first, other = parse(text, "x")
    assert first.value.split() == parts
    assert other.where.startswith("x:")
    assert first.where == "x:2"


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No file crashes the launcher."""
    for read in (lambda: parse(text, "x"), lambda: split_words(text, "x"), lambda: time_span(text, "x")):
        try:
            read()
        except UnitError as error:
            assert str(error).startswith("x")  # noqa: PT017


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("'a b' \"c 'd'\"", ["a b", "c 'd'"]),
        (r"a\x20b \u00e9 \U0001f600 \303\251 \s", ["a b", "é", "😀", "é", " "]),
        ("'' \"\"", ["", ""]),
        ("", []),
        (r"back\\slash \;", None),
        ("$HOME `id` $(id) > x | y", ["$HOME", "`id`", "$(id)", ">", "x", "|", "y"]),
    ],
)
def test_words_without_a_shell(text: str, words: list[str] | None) -> None:
    """What a shell would run is only text here."""
    if words is None:
        with pytest.raises(UnitError):
            split_words(text, "x")
    else:
        assert split_words(text, "x") == words


@pytest.mark.parametrize("text", ["'open", 'a"b"', "'a'b", r"\q", r"\x0", r"\777", r"\ud800", r"\x00"])
def test_broken_words_are_refused(text: str) -> None:
    """A doubtful command line is not run."""
    with pytest.raises(UnitError, match="x:1"):
        split_words(text, "x:1")


@pytest.mark.parametrize(
    ("text", "where"),
    [("Key=1", "x:1"), ("[S]\nnonsense", "x:2"), ("[S]\n=1", "x:2"), ("[S", "x:1"), ("[]", "x:1")],
)
def test_broken_lines_are_refused_with_their_place(text: str, where: str) -> None:
    """A person finds the line."""
    with pytest.raises(UnitError, match=where):
        parse(text, "x")


SPANS = {
    "2": 2, "500ms": 0.5, "1min 30s": 90, "1min30s": 90, "infinity": math.inf, "1h": 3600,
    "1.5s": 1.5, "2 d": 172800, "100us": 1e-4, "0": 0,
}  # fmt: skip


@pytest.mark.parametrize(("text", "seconds"), SPANS.items())
def test_time_spans(text: str, seconds: float) -> None:
    """Times mean what they mean to systemd."""
    assert time_span(text, "x") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "5 parsecs", "-1", "1 2 x", "nan"])
def test_no_time_span(text: str) -> None:
    """A time that cannot be read is not taken for none."""
    with pytest.raises(UnitError, match="time span"):
        time_span(text, "x")


@pytest.mark.parametrize("text", [text for text in SPANS if text != "infinity"])
def test_systemd_reads_the_same_time(text: str) -> None:
    """Our reading is systemd's own, not our memory of it."""
    out = subprocess.run([program("systemd-analyze"), "timespan", text], capture_output=True, text=True, check=True)
    micros = next(line.split(":")[1] for line in out.stdout.splitlines() if "s:" in line)
    assert int(micros) == round(time_span(text, "x") * 1e6)


def test_specifiers_and_variables() -> None:
    """Instance, name and process id reach the command."""
    assert expand("%i 100%% %n", {"i": "a", "n": "b"}, "x") == "a 100% b"
    with pytest.raises(UnitError, match="%z is not supported"):
        expand("%z", {"i": ""}, "x")
    with pytest.raises(UnitError):
        expand("50%", {"i": ""}, "x")
    variables = {"MAINPID": "7", "MANY": "a b", "X": "1 2"}
    assert substitute(["-HUP", "$MAINPID"], variables) == ["-HUP", "7"]
    assert substitute(["$MANY", "p${X}s", "$NONE", "$$5", "$5", "${NONE}"], variables) == [
        "a", "b", "p1 2s", "$5", "$5", "",
    ]  # fmt: skip
