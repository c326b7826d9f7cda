"""`ligand suppress`: what the investigator leaves alone since it failed too often, and how to have it tried again."""

from __future__ import annotations

from pathlib import Path

import click

from services.investigator.suppression import listed
from services.runtime import config as configuration
from services.runtime.commands import Failure, form_option, home_option, say, say_json, told
from services.runtime.manifest import Manifest
from signals.catalogue import Catalogue
from signals.emitter import Emitter
from signals.journal import Journal
from signals.paths import Paths

DAEMON = "investigator"


@click.group()
def suppress() -> None:
    """Subjects that failed too often to be investigated again."""


@suppress.command("list")
@form_option
@home_option
@told
def list_(*, form: str, home: Path | None) -> int:
    """List the subjects that failed, and which of them are left alone."""
    paths = Paths.resolve(home)
    after = _after(paths)
    with Journal(paths.journal) as journal:
        found = listed(journal.state_of(DAEMON))
    lines = [{**one, "suppressed": one["count"] >= after} for one in found]
    if form == "json":
        say_json(lines)
        return 0
    for one in lines:
        mark = "suppressed" if one["suppressed"] else f"{one['count']} of {after}"
        say(f"{mark:<12}{one['subject']}  {one['reason']}: {one['detail']}")
    if not lines:
        say("No subject failed.")
    return 0


@suppress.command()
@click.argument("subject", required=False)
@click.option("--all", "everything", is_flag=True, help="All subjects.")
@home_option
@told
def clear(subject: str | None, *, everything: bool, home: Path | None) -> int:
    """Have SUBJECT tried again when it is next asked about.

    SUBJECT is as `list` shows it.
    """
    if (subject is None) != everything:
        raise click.UsageError("Name one subject, or say --all.")
    paths = Paths.resolve(home)
    with Journal(paths.journal) as journal:
        known = {one["subject"] for one in listed(journal.state_of(DAEMON))}
    if subject is not None and subject not in known:
        raise Failure(f"{subject!r} is not among the subjects that failed: ligand suppress list shows them.")
    with Emitter(paths.bus_socket, catalogue=Catalogue.load([paths.contracts])) as emitter:
        facts = {} if subject is None else {"subject": subject}
        emitter.emit(emitter.signal("Q_SUPPRESSION_LIFTED", facts))
    say(f"{subject or 'All subjects'}: tried again when next asked about.")
    return 0


def _after(paths: Paths) -> int:
    manifest = Manifest.of(DAEMON)
    config = configuration.load(paths.config_of(DAEMON), manifest.config, daemon=DAEMON)
    return int(config["suppress_after"])
