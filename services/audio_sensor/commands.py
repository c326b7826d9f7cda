"""`ligand listen`: have it listen now, whatever the eyes say, and show what it understood."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from services.runtime import config as configuration
from services.runtime.commands import Failure, Finite, home_option, say, told
from services.runtime.manifest import Manifest
from signals.catalogue import Catalogue
from signals.emitter import Emitter
from signals.envelope import decode
from signals.journal import Journal
from signals.paths import Paths
from signals.terminal import clean

DAEMON = "audio_sensor"
POLL_S = 0.1
GRACE_S = 10.0
"""Seconds that understanding may take after the listening has ended."""


@click.command()
@click.option("--for", "seconds", type=Finite(1, 600), help="Seconds to listen. [as configured]")
@home_option
@told
def listen(*, seconds: float | None, home: Path | None) -> int:
    """Listen now, to one utterance, and show what was understood."""
    paths = Paths.resolve(home)
    longest_s = seconds or _settings(paths)["listen_for_s"]
    with Emitter(paths.bus_socket, catalogue=Catalogue.load([paths.contracts])) as emitter:
        _require_ears(emitter.query("status"))
        asked = emitter.signal("Q_LISTEN_WANTED", {} if seconds is None else {"for_s": seconds})
        emitter.emit(asked)
    click.echo("Speak now.", err=True)
    text = _heard(paths.journal, asked.id, time.monotonic() + longest_s + GRACE_S)
    if text is None:
        raise Failure("Nothing was understood. `ligand status` tells whether audio_sensor can hear.")
    say(text)
    return 0


def _settings(paths: Paths) -> dict[str, Any]:
    manifest = Manifest.of(DAEMON)
    return configuration.load(paths.config_of(DAEMON), manifest.config, daemon=DAEMON)


def _require_ears(status: dict[str, Any]) -> None:
    """Say what is amiss with who hears. Raises `Failure` where nobody does."""
    found = next((one for one in status["daemons"] if one["daemon"] == DAEMON), None)
    if found is None or not found["ready"]:
        raise Failure("audio_sensor does not run, so nobody hears you. `ligand status` shows what does.")
    if found["state"] == "degraded":  # it may hear all the same
        click.echo(clean(f"audio_sensor is degraded: {found['message']}"), err=True)


def _heard(journal: Path, asked: str, until: float) -> str | None:
    """What was understood because of the request `asked`; None when that is nothing in time."""
    with Journal(journal) as reader:
        while time.monotonic() < until:
            for raw in reader.story(asked):
                if (found := decode(raw)).signal == "Q_USER_VOICE":
                    return str(found.facts["text"])
            time.sleep(POLL_S)
    return None
