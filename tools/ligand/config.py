"""`ligand config`: is it right, what holds, and where is it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml
from rich.table import Table

from services.runtime.manifest import load_all
from tools.cli import OK, USAGE, home_option, paths_of, told
from tools.ligand import configuring
from tools.ligand.listing import Form, output_option, say, say_json
from tools.ligand.names import daemons
from tools.text import clean


@click.group()
def config() -> None:
    """The configuration: check it, show what holds, say where it is."""


@config.command()
@output_option
@home_option
@told
def check(*, form: Form, home: Path | None) -> int:
    """Check everything in it, as the daemons would at their start.

    contracts.d, daemons.d, every daemon's file, and what these name.

    Exit code 0: all of it can be used; 2: something must be mended, and `ligand up` would refuse it.
    """
    paths = paths_of(home)
    problems = configuring.check(paths)
    if form == "json":
        say_json(problem.as_json() for problem in problems)
    else:
        for problem in problems:
            head = "wrong" if problem.is_error else "note "
            where = "" if problem.file in problem.message else f"{problem.file}: "
            click.echo(clean(f"{head}  {where}{problem.message}"))
        if not any(problem.is_error for problem in problems):
            click.echo(f"{paths.config}: can be used")
    return USAGE if any(problem.is_error for problem in problems) else OK


@config.command()
@click.argument("daemon", required=False, shell_complete=daemons)
@output_option
@home_option
@told
def show(*, daemon: str | None, form: Form, home: Path | None) -> None:
    """Show what holds for DAEMON, or for each.

    Its file over the defaults; secrets are masked.
    """
    paths = paths_of(home)
    names = (
        [daemon] if daemon is not None else sorted(n for n, m in load_all(paths.manifests).items() if not m.instances)
    )
    for name in names:
        found, changed = configuring.effective(paths, name)
        if form == "json":
            file = paths.config_of(name)
            told = {"daemon": name, "file": str(file), "exists": file.exists(), "changed": sorted(changed)}
            say_json([told | {"config": found}])
        else:
            click.echo(_as_yaml(name, paths.config_of(name), found, changed))


def _as_yaml(name: str, file: Path, found: dict[str, Any], changed: frozenset[str]) -> str:
    """YAML that could be the file itself; what is a default stands in it as a comment."""
    lines = [f"# {name}: {file}{'' if file.exists() else ' (not there: all defaults)'}"]
    for key, value in found.items():
        text = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=100).rstrip()
        lines += text.splitlines() if key in changed else [f"# {line}" for line in text.splitlines()]
    return "\n".join(lines) + "\n"


@config.command()
@click.argument("daemon", required=False, shell_complete=daemons)
@output_option
@home_option
@told
def path(*, daemon: str | None, form: Form, home: Path | None) -> None:
    """Say where DAEMON's file is, or where everything is."""
    paths = paths_of(home)
    if daemon is not None:
        configuring.manifest_of(paths, daemon)
        file = paths.config_of(daemon)
        click.echo(file) if form == "short" else say_json([{"daemon": daemon, "path": str(file)}])
        return
    found = configuring.places(paths)
    if form == "json":
        say_json({"what": what, "path": str(place), "exists": place.exists()} for what, place in found.items())
        return
    shown = Table(box=None, pad_edge=False, show_header=False)
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for what, place in found.items():
        shown.add_row(what, f"{place}{'' if place.exists() else '  (not there)'}")
    say(shown)
