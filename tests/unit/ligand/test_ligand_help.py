"""Help that can be read, completion that a shell understands, and the map."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from tests.support.commands import ligand as ligand_here
from tests.support.commands import run, within
from tests.support.required import program
from tools.ligand.__main__ import COMMANDS, ligand
from tools.signal_tap.__main__ import tap as signal_tap

COLUMNS = 80


def commands(command: click.Command = ligand, *path: str) -> Iterator[tuple[str, ...]]:
    """The path of each command and subcommand."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, name
            yield from commands(found, *path, name)


ALL = [pytest.param(path, id=" ".join(path) or "ligand") for path in commands()]


@pytest.mark.parametrize("path", ALL)
def test_help_fits_80_columns(path: tuple[str, ...]) -> None:
    """A narrow terminal does not break the lines anew, and every option says what it does."""
    shown = CliRunner().invoke(ligand, [*path, "--help"], prog_name="ligand", env={"COLUMNS": str(COLUMNS)})
    assert shown.exit_code == 0
    assert [line for line in shown.output.splitlines() if len(line) > COLUMNS] == []


def test_no_line_of_a_list_of_commands_is_cut() -> None:
    """What ends in dots makes a person open each command's help to find the one they need."""
    for name, root in (("ligand", ligand), ("signal_tap", signal_tap)):
        for path in commands(root):
            shown = within(name, None, *path, "--help", columns=COLUMNS).text
            _, _, listed = shown.partition("\nCommands:\n")
            assert [line for line in listed.splitlines() if line.endswith("...")] == []


def test_a_mistyped_command_is_guessed() -> None:
    """The nearest name is quicker than the whole list."""
    found = ligand_here(None, "statsu")
    assert (found.code, "There is no command 'statsu'. Did you mean status?" in found.err) == (2, True)
    assert "`ligand --help` lists them" in ligand_here(None, "zzz").err


@pytest.mark.parametrize("path", ALL)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    """An option without a word is found out by trying."""
    command: click.Command = ligand
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    assert command.help
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.opts for option in options if not option.help] == []


def test_every_verb_is_listed() -> None:
    """`ligand --help` names each with a line of its own."""
    shown = ligand_here(None, "--help").text
    assert [verb for verb in COMMANDS if f"\n  {verb} " not in shown] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_what_the_shell_reads(shell: str) -> None:
    """A line with a mistake would greet a person in every new shell."""
    done = run("ligand", None, "completion", shell)
    assert done.code == 0
    assert "_LIGAND_COMPLETE" in done.text
    assert "_SIGNAL_TAP_COMPLETE" in done.text
    read = subprocess.run([program(shell), "-n"], input=done.text, capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")


def test_completion_knows_verbs_options_and_daemons() -> None:
    """Tab after `ligand pa`, after `--`, and after `pause` offers what there is."""

    def offered(words: str, at: int) -> set[str]:
        env = {"_LIGAND_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        return {line.partition(",")[2] for line in run("ligand", None, env=env).lines}

    assert offered("ligand pa", 1) == {"pause"}
    assert "--mermaid" in offered("ligand map --", 2)
    assert {"investigator", "intent_router"} <= offered("ligand pause i", 2)


class TestMap:
    def test_a_terminal_a_graph_and_json_agree(self) -> None:
        """The same talks in four shapes."""
        told = ligand_here(None, "map", "-o", "json").objects
        edge = {"speaker": "intent_router", "signal": "Q_CURIOSITY_INVESTIGATE", "hearer": "investigator"}
        assert edge | {"how": "consumes"} in told
        assert (
            '  intent_router -->|"Q_CURIOSITY_INVESTIGATE"| investigator' in ligand_here(None, "map", "--mermaid").text
        )
        assert (
            '"intent_router" -> "investigator" [label="Q_CURIOSITY_INVESTIGATE"];'
            in ligand_here(None, "map", "--dot").text
        )
        assert "-> investigator" in ligand_here(None, "map").text

    def test_only_what_one_takes_part_in(self) -> None:
        """A person looks at one daemon or one signal."""
        told = ligand_here(None, "map", "Q_MODULE_INTEGRATED", "-o", "json").objects
        assert {each["speaker"] for each in told} == {"capability_integrator"}
        assert ligand_here(None, "map", "Q_MODEL_TOKEN").code == 1
        wrong = ligand_here(None, "map", "investigatr")
        assert (wrong.code, "Did you mean investigator?" in wrong.err) == (2, True)
