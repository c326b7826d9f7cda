"""`ligand pause` and `ligand resume`: stop delivering, and go on. Nothing is lost meanwhile."""

from __future__ import annotations

from pathlib import Path

import click

from tools.cli import ask_bus, home_option, paths_of, told
from tools.ligand.names import daemons
from tools.text import clean

ALL = "*"


@click.command()
@click.argument("daemon", default=ALL, required=False, shell_complete=daemons)
@home_option
@told
def pause(daemon: str, home: Path | None) -> None:
    """Deliver nothing more to DAEMON, or to any.

    Its signals wait in the journal, and its deadlines stand still.
    """
    _tell(ask_bus(paths_of(home), "pause", daemon=daemon)["paused"])


@click.command()
@click.argument("daemon", default=ALL, required=False, shell_complete=daemons)
@home_option
@told
def resume(daemon: str, home: Path | None) -> None:
    """Deliver again to DAEMON, or to all, what waited."""
    _tell(ask_bus(paths_of(home), "resume", daemon=daemon)["paused"])


def _tell(paused: list[str]) -> None:
    names = ["every daemon" if name == ALL else clean(name) for name in paused]
    click.echo(f"paused: {', '.join(names)}" if names else "nothing is paused")
