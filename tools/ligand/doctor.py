"""`ligand doctor`: what is well, what is not, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from signals.paths import Paths
from tools.cli import NOTHING, OK, home_option, paths_of, told
from tools.ligand.checks import grants, installation, machine, models, running
from tools.ligand.checks import home as home_checks
from tools.ligand.checks.finding import Finding
from tools.ligand.listing import Form, output_option, say, say_json
from tools.progress import progress

_COLOURS = {"ok": "green", "note": "yellow", "mend": "red"}
EXPECTED = 30


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Only what is not well.")
@output_option
@home_option
@told
def doctor(*, quiet: bool, form: Form, home: Path | None) -> int:
    """Look at everything that Ligand needs, and say what to do.

    Changes nothing. Exit code 1: something must be mended; notes alone are 0.
    """
    paths = paths_of(home)
    found = []
    with progress("looking", EXPECTED) as advance:
        for finding in _all(paths):
            found.append(finding)
            advance(len(found))
    shown = [finding for finding in found if not (quiet and finding.state == "ok")]
    if form == "json":
        say_json(finding.as_json() for finding in shown)
    else:
        _show(shown, found)
    return NOTHING if any(finding.state == "mend" for finding in found) else OK


def _all(paths: Paths) -> Iterator[Finding]:
    yield from machine.findings()
    for check in (home_checks, models, running, installation, grants):
        try:
            yield from check.findings(paths)
        except PermissionError as error:
            yield home_checks.closed(check.__name__.rpartition(".")[2], error)


def _show(shown: list[Finding], found: list[Finding]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in shown:
        text = Text(finding.found)
        if finding.todo:
            text.append(f"\n-> {finding.todo}", style="bold")
        table.add_row(Text(finding.state, style=_COLOURS[finding.state]), finding.check, text)
    if shown:
        say(table)
    counts = {state: sum(finding.state == state for finding in found) for state in _COLOURS}
    say(f"{machine.host()}: {counts['mend']} to mend, {counts['note']} notes, {counts['ok']} ok")
