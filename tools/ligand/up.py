"""`ligand up`: the constellation in the foreground, without systemd."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path

import click

from services.runtime.manifest import load_all
from signals.errors import LigandError
from signals.paths import Paths
from tools.cli import Failure
from tools.ligand.instances import disabled, listed
from tools.ligand.lock import Lock
from tools.ligand.selection import select
from tools.ligand.supervisor import Supervisor
from tools.ligand.units import Unit

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = "/opt/ligand/venv/bin/"
# what a service manager said to us is not meant for our children
_NOT_INHERITED = (
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "INVOCATION_ID", "MAINPID",
    "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "STATE_DIRECTORY", "RUNTIME_DIRECTORY",
    "CONFIGURATION_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY", "CREDENTIALS_DIRECTORY",
)  # fmt: skip


def packaged_units() -> Path:
    """The folder of Ligand's own units: in the source tree, else in the wheel."""
    tree, wheel = ROOT / "systemd", ROOT / "tools" / "systemd"
    return tree if tree.is_dir() else wheel


def users_units(paths: Paths) -> Path:
    """The folder of units for a person's own daemons; it need not be there."""
    return paths.config / "units.d"


def here(unit: Unit) -> Unit:
    """The unit with the programs of the installed environment replaced by those of this one."""
    program = unit.argv[0]
    if not program.startswith(INSTALLED):
        return unit
    name = program.removeprefix(INSTALLED)
    ours = sys.executable if name.startswith("python") else str(Path(sys.executable).with_name(name))
    return replace(unit, argv=(ours, *unit.argv[1:]))


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what a service manager said."""
    return {name: value for name, value in environ.items() if name not in _NOT_INHERITED}


def environment(environ: Mapping[str, str], home: Path | None) -> dict[str, str]:
    """What the daemons get: ours, without a service manager's, with the home."""
    ours = inherited(environ)
    path = os.pathsep.join(filter(None, [str(ROOT), ours.get("PYTHONPATH")]))
    added = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    return {**ours, **added, **({"LIGAND_HOME": str(home)} if home else {})}


@click.command()
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="Keep everything in this folder.")
@click.option("--only", metavar="NAME", multiple=True, help="Only this daemon and what it wants; repeatable.")
@click.option(
    "--units",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Read the units from this folder.",
)
def up(home: Path | None, only: tuple[str, ...], units: Path | None) -> None:
    """Run the constellation in the foreground until Ctrl-C.

    Reads the systemd units and does without systemd what they say about order, readiness, restarts,
    watchdog and stopping. SIGHUP reloads the daemons' configuration.

    Exit code 0: stopped as it was told to; 1: a daemon failed or did not become ready, or it runs here already;
    2: the configuration (or the journal) cannot be used, as `ligand config check` and `ligand doctor` say in full.
    """
    try:
        paths = Paths.resolve(home, inherited(os.environ))
        if paths.is_machines:
            raise LigandError(
                "systemd runs this machine's Ligand: `systemctl start ligand.target`. One of your own, apart from it: "
                "`ligand up --home DIR`"
            )
        folders = [units] if units else [packaged_units(), users_units(paths)]
        manifests = load_all(paths.manifests).values()
        instances = [one.daemon for one in listed(manifests, paths.config)]
        chosen = [here(unit) for unit in select(folders, only, instances, disabled(manifests, paths.config))]
        sys.exit(_up(paths, chosen))
    except LigandError as error:
        raise Failure.of(error) from error


def _up(paths: Paths, units: Sequence[Unit]) -> int:
    paths.ensure()
    if isinstance(sys.stdout, TextIOWrapper):
        # a daemon's line that this terminal cannot show must not end the constellation
        sys.stdout.reconfigure(errors="backslashreplace")
    lock = Lock(paths)

    async def live() -> int:
        supervisor = Supervisor(
            units, run=paths.run, environment=environment(os.environ, paths.home), stream=sys.stdout
        )
        return await supervisor.run()

    try:
        return asyncio.run(live())
    finally:
        lock.release()
