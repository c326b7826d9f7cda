"""A person's own commands."""

from __future__ import annotations

import pytest

from services.audio_sensor.grammar import parse
from signals.errors import ConfigError

TEXT = """
# the kitchen
turn (on|off) the [kitchen] light   # either way
What time is it
"""


def test_sentences_are_told_from_parts_of_them() -> None:
    """Half a command is none: "turn off the" must switch nothing."""
    grammar = parse(TEXT, "f")
    for whole in ("turn on the light", "turn off the kitchen light", "what time is it"):
        assert grammar.is_complete(whole), whole
    for part in (
        "turn on the",
        "turn the light",
        "turn on the light what time is it",
        "time is it",
        "turn onthe light",
    ):
        assert not grammar.is_complete(part), part


def test_it_becomes_what_the_recogniser_reads() -> None:
    """A grammar that the recogniser refuses would end it."""
    assert parse("a (b|c) [d]", "f").jsgf == (
        "#JSGF V1.0;\ngrammar commands;\npublic <command> = ( a ( b | c ) [ d ] );\n"
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("turn (on|off the light", "')' is missing"),
        ("turn on) the light", "closes what was not opened"),
        ("turn [on the light", "']' is missing"),
        ("turn (on|) the light", "a choice is empty"),
        ("[please]", "nothing need be said"),
        ("set 5 minutes", "'5' is no word"),
        ("open <door>", "'<door>' is no word"),
        ("xyzzy now", "does not know the word 'xyzzy'"),
        ("(" * 9999 + "open", "choices within each other"),
    ],
)
def test_a_slip_is_named_with_its_line(line: str, said: str) -> None:
    """A person mends the line, not guesses at it."""
    with pytest.raises(ConfigError, match=r"my-file:3: ") as found:
        parse(f"good morning\n\n{line}\n", "my-file", lambda word: word != "xyzzy")
    assert said in found.value.message
    assert found.value.fields["line"] == 3


def test_every_slip_is_named_at_once() -> None:
    """Mending one after another is a nuisance."""
    with pytest.raises(ConfigError) as found:
        parse("a (b\nc\nd]\n", "f")
    assert len(found.value.fields["problems"]) == 2
    with pytest.raises(ConfigError, match="more than 1048576 bytes"):
        parse("a\n" * (1 << 20), "f")


@pytest.mark.parametrize(
    "text",
    ["1\n" * 100_000, "x" * 100_000, "on\n" * 100_000, "(" + "1" * 100_000, "on " * 100_000],
    ids=["slips", "word", "lines", "group", "words"],
)
def test_what_is_no_list_of_commands_is_refused_in_few_words(text: str) -> None:
    """Another file by that name would fill the screen and the log, and the recogniser could not say it."""
    with pytest.raises(ConfigError) as found:
        parse(text, "f", lambda _: False)
    assert sum(map(len, found.value.fields["problems"])) < 20_000
