"""`ligand suppress`: what the investigator leaves alone since it failed too often, and how to have it tried again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
import orjson

from services.investigator.suppression import listed
from services.runtime import config as configuration
from services.runtime.manifest import Manifest, packaged
from signals.catalogue import Catalogue
from signals.emitter import Emitter
from signals.errors import LigandError
from signals.journal import Journal
from signals.paths import Paths

P = ParamSpec("P")
R = TypeVar("R")
DAEMON = "investigator"
_home = click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Ligand's folder; else LIGAND_HOME."
)


def _told(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except LigandError as error:
            raise click.ClickException(error.message) from error

    return guarded


@click.group()
def suppress() -> None:
    """Subjects that failed too often to be investigated again."""


@suppress.command("list")
@click.option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", help="How to show.")
@_home
@_told
def list_(*, form: str, home: Path | None) -> int:
    """List the subjects that failed, and which of them are left alone."""
    paths = Paths.resolve(home)
    after = _after(paths)
    with Journal(paths.journal) as journal:
        found = listed(journal.state_of(DAEMON))
    lines = [{**one, "suppressed": one["count"] >= after} for one in found]
    if form == "json":
        click.echo(orjson.dumps(lines).decode())
        return 0
    for one in lines:
        mark = "suppressed" if one["suppressed"] else f"{one['count']} of {after}"
        click.echo(f"{mark:<12}{one['subject']}  {one['reason']}: {one['detail']}")
    if not lines:
        click.echo("No subject failed.")
    return 0


@suppress.command()
@click.argument("subject", required=False)
@click.option("--all", "everything", is_flag=True, help="All subjects.")
@_home
@_told
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
        raise click.ClickException(
            f"{subject!r} is not among the subjects that failed: ligand suppress list shows them."
        )
    with Emitter(paths.bus_socket, catalogue=Catalogue.load([paths.contracts])) as emitter:
        facts = {} if subject is None else {"subject": subject}
        emitter.emit(emitter.signal("Q_SUPPRESSION_LIFTED", facts))
    click.echo(f"{subject or 'All subjects'}: tried again when next asked about.")
    return 0


def _after(paths: Paths) -> int:
    manifest = Manifest.load(next(path for path in packaged() if path.parent.name == DAEMON))
    config = configuration.load(paths.config_of(DAEMON), manifest.config, daemon=DAEMON)
    return int(config["suppress_after"])
