"""`ligand completion`: the lines that make a shell complete `ligand` and `signal-tap`."""

from __future__ import annotations

from importlib import import_module

import click
from click.shell_completion import get_completion_class

from tools.cli import told

PROGRAMS = {"ligand": ("tools.ligand.__main__", "ligand"), "signal-tap": ("tools.signal_tap.__main__", "tap")}


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@told
def completion(*, shell: str) -> None:
    """Print what makes SHELL complete `ligand` and `signal-tap`.

    \b
      ~/.bashrc                    eval "$(ligand completion bash)"
      ~/.zshrc, after compinit     eval "$(ligand completion zsh)"
      ~/.config/fish/config.fish   ligand completion fish | source
    """
    for program, (module, name) in PROGRAMS.items():
        click.echo(script(getattr(import_module(module), name), program, shell))


def script(command: click.Command, program: str, shell: str) -> str:
    """What makes a shell complete one program."""
    kind = get_completion_class(shell)
    assert kind is not None, shell
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    completer = kind(command, {}, program, variable)
    # not completer.source(): that asks a bash of this machine for its version
    return completer.source_template % completer.source_vars()
