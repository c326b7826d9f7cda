"""`ligand install`, `ligand uninstall`, `ligand rollback`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import Any

import click

from services.runtime.extras import NAMES
from signals.paths import SYSTEM_UNIT
from tools.ligand import reloading
from tools.ligand.changing import changing, told
from tools.ligand.environment import Source, interpreter
from tools.ligand.extras import NOTHING
from tools.ligand.installer import READY_S, Installer
from tools.ligand.layout import InstallError, Layout
from tools.ligand.manager import Manager
from tools.ligand.steps import Steps
from tools.ligand.uninstaller import Uninstaller

A_FOLDER = click.Path(path_type=Path, file_okay=False)
_SCOPE = (
    click.option(
        "--system/--user", "system", default=None, help="For the whole machine (needs root), or for yourself."
    ),
    click.option(
        "--prefix", type=A_FOLDER, help="Where the program lies. [where it is, else /opt/ligand or your data folder]"
    ),
    click.option("--dry-run", is_flag=True, help="Show every step and do none."),
)


def scoped(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which installation is meant; errors end as one message."""

    @wraps(command)
    def wrapped(system: bool | None, prefix: Path | None, dry_run: bool, **options: Any) -> None:
        with told():
            layout = layout_of(system, prefix)
            with nullcontext() if dry_run else changing(layout.lock):
                command(_installer(layout, dry_run), **options)

    for option in reversed(_SCOPE):
        wrapped = option(wrapped)
    return wrapped


def layout_of(system: bool | None, prefix: Path | None = None) -> Layout:
    """The layout that was asked for. Raises `InstallError` when that is not clear, or needs root."""
    root = os.getuid() == 0
    if system is None:
        raise InstallError("Say for whom: --system for the whole machine, or --user for yourself.")
    if system and not root:
        raise InstallError("A system installation needs root. Run it with sudo, or use --user.")
    if not system and root and "XDG_RUNTIME_DIR" not in os.environ:
        raise InstallError("root has no user session here. Log in as the person, or use --system.")
    if not system and SYSTEM_UNIT.exists():
        raise InstallError(
            "This machine has a Ligand for everybody, whose bus your daemons would find. "
            "To use that one, be in its group: usermod --append --groups ligand-users NAME. "
            "For one of your own apart from it: ligand up --home DIR"
        )
    return where_it_is(Layout.for_system if system else Layout.for_user, prefix)


def where_it_is(layout: Callable[[Path | None], Layout], prefix: Path | None) -> Layout:
    """With the prefix of what is installed. Raises `InstallError` when another one was asked for: one at a time."""
    asked = layout(prefix)
    there = asked.installed_prefix()
    if there is None or asked.prefix.resolve() == there.resolve():
        return asked
    if prefix is None:
        return layout(there)
    scope = "--system" if asked.system else "--user"
    raise InstallError(
        f"Ligand is installed in {there}, and a second one would take its units over; nothing was done. Leave --prefix "
        f"out to go on with that one. To move it: ligand uninstall {scope}, which keeps configuration and state, then "
        f"ligand install {scope} --prefix {shlex.quote(str(asked.prefix))}"
    )


def _installer(layout: Layout, dry: bool) -> Installer:
    os.umask(0o022)  # what is installed must be readable for the daemons, whatever this shell's habit
    manager = Manager(system=layout.system)
    manager.require()
    return Installer(layout, Steps(click.echo, dry=dry), manager)


@click.command()
@scoped
@click.option(
    "--from", "source", type=click.Path(path_type=Path, exists=True), help="A source tree or a wheel. [this one]"
)
@click.option("--python", type=click.Path(path_type=Path, dir_okay=False), help="The Python to use. [/usr/bin/python3]")
@click.option(
    "--with",
    "asked",
    type=click.Choice([*NAMES, NOTHING]),
    multiple=True,
    help="What to have beside it from now on: audio hears and speaks, gaze sees who attends, face knows "
    "one person from others, silero tells speech by another engine; may be repeated.",
)
@click.option(
    "--allow-reload",
    "reloads",
    metavar="UNIT",
    multiple=True,
    help="Let D-REAM reload this service, by a rule of polkit; may be repeated; nothing for none. [as before]",
)
@click.option("--ready-within", default=READY_S, show_default=True, help="Seconds for every daemon to become ready.")
def install(
    installer: Installer,
    *,
    source: Path | None,
    python: Path | None,
    asked: tuple[str, ...],
    reloads: tuple[str, ...],
    ready_within: float,
) -> None:
    """Install Ligand as systemd units, or upgrade it.

    Run again it changes only what differs. A newer version is checked first and stands beside the old one;
    when not every daemon of it becomes ready, the old one is put back. What was installed --with it stays,
    until you say --with nothing.
    """
    allowed = reloading.units_of(reloads)
    chosen = interpreter(installer.layout, python)
    with Source.of(source) as found:
        installer.install(found, chosen, ready_within, asked, allowed)


@click.command()
@scoped
@click.option("--purge", is_flag=True, help="Remove configuration, journal, users and groups too.")
def uninstall(installer: Installer, purge: bool) -> None:
    """Stop every daemon and remove Ligand."""
    Uninstaller(installer.layout, installer.steps, installer.manager).uninstall(purge=purge)


@click.command()
@scoped
def rollback(installer: Installer) -> None:
    """Put the version before the present one back in use."""
    installer.rollback()
