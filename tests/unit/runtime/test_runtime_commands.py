"""What daemons' own subcommands share."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from services.runtime.commands import form_option, say, say_json, told
from signals.errors import BusUnreachableError, ConfigError, LigandError, LoopError, UsageError

HOSTILE = "\x1b]0;owned\x07 \x9b2J \u202e \u061c\n  because  forged"


@click.command()
@form_option
def shown(form: str) -> None:
    say(HOSTILE) if form == "short" else say_json([{"said": HOSTILE}] * 2)


def test_what_facts_say_cannot_steer_a_terminal_or_forge_a_line() -> None:
    """`ligand policy why` shows what came from the web."""
    (line,) = CliRunner().invoke(shown).output.splitlines()
    assert line == "\\x1b]0;owned\\x07 \\x9b2J \\u202e \\u061c\\n  because  forged"
    lines = CliRunner().invoke(shown, ["-o", "json"]).output.splitlines()
    assert [json.loads(each) for each in lines] == [{"said": HOSTILE}] * 2
    assert "".join(lines).isascii()


def test_the_former_name_of_a_form_is_still_taken() -> None:
    """A script that says `-o text` would end in an error after an upgrade."""
    said = [CliRunner().invoke(shown, ["-o", form]) for form in ("text", "short", "yaml")]
    assert [one.exit_code for one in said] == [0, 0, 2]
    assert said[0].output == said[1].output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LigandError("x"), 1),
        (LoopError("x"), 1),
        (UsageError("x"), 2),
        (ConfigError("x"), 2),
        (BusUnreachableError("x"), 3),
    ],
)
def test_each_error_ends_a_command_with_the_code_of_its_kind(error: LigandError, code: int) -> None:
    """A script tells a bus that is down from what was typed wrong."""

    @click.command()
    @told
    def failing() -> None:
        raise error

    done = CliRunner().invoke(failing)
    assert (done.exit_code, done.output) == (code, "Error: x\n")


def test_what_the_system_forbids_is_told_with_its_name() -> None:
    """State of a daemon's user is closed to others; a traceback would not say who may look."""

    @click.command()
    @told
    def failing() -> None:
        raise PermissionError(13, "Permission denied", "/var/lib/ligand/x")

    done = CliRunner().invoke(failing)
    assert (done.exit_code, done.output) == (
        1,
        "Error: /var/lib/ligand/x: Permission denied. Run it as whoever may.\n",
    )
