"""`ligand listen`: have it listen now, whatever the eyes say, and show what it understood."""

from __future__ import annotations

import time
from pathlib import Path

import click

from signals.catalogue import Catalogue
from signals.emitter import Emitter
from signals.envelope import decode
from signals.errors import LigandError
from signals.journal import Journal
from signals.paths import Paths

LISTEN_S = 15.0
POLL_S = 0.1
GRACE_S = 10.0
"""Seconds that understanding may take after the listening has ended."""


@click.command()
@click.option("--for", "seconds", type=click.FloatRange(1, 600), help="Seconds to listen. [as configured]")
@click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Ligand's folder; else LIGAND_HOME."
)
def listen(*, seconds: float | None, home: Path | None) -> int:
    """Listen now, to one utterance, and show what was understood."""
    paths = Paths.resolve(home)
    try:
        with Emitter(paths.bus_socket, catalogue=Catalogue.load([paths.contracts])) as emitter:
            asked = emitter.signal("Q_LISTEN_WANTED", {} if seconds is None else {"for_s": seconds})
            emitter.emit(asked)
        click.echo("Speak now.", err=True)
        text = _heard(paths.journal, asked.id, time.monotonic() + (seconds or LISTEN_S) + GRACE_S)
    except LigandError as error:
        raise click.ClickException(error.message) from error
    if text is None:
        raise click.ClickException("Nothing was understood. `ligand status` tells whether audio_sensor can hear.")
    click.echo(text)
    return 0


def _heard(journal: Path, asked: str, until: float) -> str | None:
    """What was understood because of the request `asked`; None when that is nothing in time."""
    with Journal(journal) as reader:
        while time.monotonic() < until:
            for raw in reader.story(asked):
                if (found := decode(raw)).signal == "Q_USER_VOICE":
                    return str(found.facts["text"])
            time.sleep(POLL_S)
    return None
