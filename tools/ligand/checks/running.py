"""What runs: the bus, its daemons, and the units of systemd."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from services.runtime.manifest import load_all
from signals.errors import LigandError
from signals.paths import Paths
from tools.cli import Failure, ask_bus, bus_listens
from tools.ligand.checks.finding import Finding, mend, note, ok
from tools.ligand.status import units_of
from tools.ligand.unit_names import unit_of
from tools.ligand.up import packaged_units, users_units
from tools.text import clean, seconds_text

SLOW_ANSWER_S = 1.0
SYSTEMD = Path("/run/systemd/system")
MACHINES_UNITS = Path("/etc/systemd/system")
ASK_S = 10.0


def findings(paths: Paths) -> Iterator[Finding]:
    """Everything that runs, or should."""
    yield from bus(paths)
    yield from units(paths)


def bus(paths: Paths) -> Iterator[Finding]:
    """Whether the bus answers, how soon, and whether every daemon is ready."""
    try:
        listens = bus_listens(paths)
    except Failure:
        return  # told under "lock"
    if not listens:
        yield note("bus", "does not run", "`ligand up`, or `systemctl start ligand.target`.")
        return
    begun = time.monotonic()
    try:
        found = ask_bus(paths, "status")
    except LigandError as error:
        yield mend("bus", clean(error.message), "See its log: `journalctl -u ligand-bus`, or where `ligand up` runs.")
        return
    took = time.monotonic() - begun
    said = f"answers within {seconds_text(took)}"
    yield ok("bus", said) if took < SLOW_ANSWER_S else note("bus", said, "The machine or its disk is very busy.")
    if found["refusing_roots"]:
        yield mend("bus", clean(found["refusing_roots"]), "`signal-tap consumers` names who is behind.")
    up = units_of(paths)
    kept_up = {unit["daemon"]: unit for unit in up["units"]} if up else {}
    for daemon in found["daemons"]:
        yield from _daemon(daemon, kept_up.get(daemon["daemon"]))


def _daemon(daemon: Mapping[str, Any], unit: Mapping[str, Any] | None) -> Iterator[Finding]:
    name, message = clean(daemon["daemon"]), clean(daemon["message"])
    if not daemon["ready"] and unit is not None and unit["last_end"]:
        words = clean(unit["failure"] or f"{unit['state']}; last end: {unit['last_end']}")
        yield mend("daemons", f"{name} is {clean(daemon['state'])}: {words}", "The lines of `ligand up` say why.")
    elif not daemon["ready"]:
        instead = "take it from its list under `instances`" if "@" in name else "list it under `disable`"
        todo = f"Start it (`ligand up`, `systemctl start {unit_of(name)}`), or {instead} in bus.yaml."
        yield mend("daemons", f"{name} is {clean(daemon['state'])}", todo)
    elif daemon["state"] == "degraded":
        yield note("daemons", f"{name} is degraded: {message}", "It says what it lacks; it recovers by itself.")
    else:
        yield ok("daemons", f"{name} is {clean(daemon['state'])}")


def units(paths: Paths) -> Iterator[Finding]:
    """Whether each daemon has a unit, and what systemd says of those that are installed."""
    try:
        manifests = load_all(paths.manifests)
    except LigandError:
        return  # told under "configuration"
    folders = [packaged_units(), users_units(paths), *([] if paths.home else [MACHINES_UNITS])]
    there = {file.name for folder in folders for file in folder.glob("*.service")}
    for name, manifest in sorted(manifests.items()):
        unit = unit_of(f"{name}@" if manifest.instances else name)
        if unit not in there:
            todo = f"Write {users_units(paths) / unit}, as docs/writing-a-daemon.md shows."
            yield note("units", f"{name} has no unit, so nobody starts it", todo)
    yield from _systemd(paths)


def _systemd(paths: Paths) -> Iterator[Finding]:
    if units_of(paths) is not None:
        yield ok("units", "`ligand up` runs them")
        return
    systemctl = shutil.which("systemctl")
    if systemctl is None or not SYSTEMD.is_dir():
        yield note("units", "there is no systemd here", "`ligand up` runs the same units in the foreground.")
        return
    listing = [systemctl, "list-units", "--all", "--plain", "--no-legend", "--no-pager", "ligand-*.service"]
    done = subprocess.run(listing, capture_output=True, text=True, timeout=ASK_S, check=False)
    rows = [line.split(None, 4) for line in done.stdout.splitlines()]
    if not rows:
        yield note("units", "none are installed", "`ligand up` runs them in the foreground; see systemd/README.md.")
    for unit, _, active, sub, *_ in rows:
        if active == "failed":
            yield mend("units", f"{unit} has failed", f"journalctl -u {unit} -n 20; then systemctl restart {unit}")
        else:
            yield ok("units", f"{unit} is {active} ({sub})")
