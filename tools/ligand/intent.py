"""`ligand intent`: ask for something."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from signals.ids import uuid7
from tools.cli import bus_listens, home_option, paths_of, told
from tools.ligand.dropping import drop, encoded, file_name, intent_body


@click.command()
@click.argument("text")
@click.option("--module", metavar="NAME", help="Ask about this Python module: a dotted name or a path.")
@click.option("--priority", type=click.Choice(("critical", "high", "normal", "low")), help="normal unless told.")
@click.option(
    "--type", "kind", metavar="TYPE", help="The intent's type, else 'question', or 'discover.module' with --module."
)
@click.option("--id", "name", metavar="ID", help="How the question is called in its answer.")
@home_option
@told
def intent(
    *, text: str, module: str | None, priority: str | None, kind: str | None, name: str | None, home: Path | None
) -> None:
    """Drop an intent into the watched folder and print where. TEXT is the question; - reads it from standard input.

    The answer will stand in done/ of that folder, beside the file.
    """
    question = sys.stdin.read().strip() if text == "-" else text
    paths = paths_of(home)
    raw = encoded(intent_body(question, module=module, priority=priority, kind=kind, name=name))
    click.echo(drop(paths.intents, file_name(question, uuid7()), raw))
    if not bus_listens(paths):
        click.echo("No bus answers here; the intent waits until `ligand up` runs.", err=True)
