"""`ligand status`: who is ready."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from services.runtime import restoring
from services.runtime.commands import Finite
from signals.errors import BusUnreachableError
from signals.paths import Paths
from tools.cli import NOTHING, OK, UNREACHABLE, ask_bus, coloured, home_option, paths_of, told
from tools.drawing import Column, Listing
from tools.ligand.listing import output_option, say
from tools.ligand.unit_names import unit_of
from tools.text import clean, json_line, seconds_text, shorten

_COLOURS = {"ready": "green", "paused": "yellow", "degraded": "yellow", "waiting": "yellow", "starting": "yellow"}
_INTERRUPTED = " A restore of the journal was interrupted; the bus finishes it at its start."
Unit = Mapping[str, Any]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
@click.option("-w", "--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option("--every", "every_s", type=Finite(0.1), default=1.0, show_default=True, help="Seconds between two looks.")
@click.option("-c", "--count", type=click.IntRange(1), help="With --watch: look so often, then exit.")
@output_option
@home_option
@told
def status(*, as_json: bool, watch: bool, every_s: float, count: int | None, form: str, home: Path | None) -> int:
    """Tell which daemons are ready, how far behind, and why not.

    Exit code 0: every enabled daemon is ready; 1: one is not; 3: the bus is unreachable.
    """
    paths = paths_of(home)
    wants_json = as_json or form == "json"
    if watch:
        if sys.stdout.isatty() and not wants_json:
            return _watch_on_terminal(paths, every_s, count)
        return _watch(paths, every_s, count, wants_json)
    found, code = gather(paths)
    _show(found, wants_json)
    return code


def _show(found: Mapping[str, Any], wants_json: bool) -> None:
    if wants_json:
        click.echo(json_line(found))
    else:
        say(*parts(found, time.time()))
    if found["error"]:
        click.echo(f"Error: {clean(found['error'])}", err=True)


def _looks(paths: Paths, every_s: float, count: int | None) -> Iterator[tuple[dict[str, Any], int]]:
    """What is found at each look, and its exit code."""
    nth = 0
    while True:
        yield gather(paths)
        nth += 1
        if nth == count:
            return
        time.sleep(every_s)


def _watch(paths: Paths, every_s: float, count: int | None, wants_json: bool) -> int:
    code = OK
    for found, now in _looks(paths, every_s, count):
        code = now
        if not wants_json:
            click.echo(time.strftime("-- %H:%M:%S --"))
        _show(found, wants_json)
    return code


def _watch_on_terminal(paths: Paths, every_s: float, count: int | None) -> int:
    """One screen, drawn anew at each look; the terminal is as before at the end, the last look left on it."""
    code, last = OK, Group()
    console = Console(no_color=not coloured("auto", True), highlight=False, markup=False, emoji=False)
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            for found, now in _looks(paths, every_s, count):
                code = now
                last = Group(Text(time.strftime("%H:%M:%S  (Ctrl-C ends)"), style="bright_black"), *_all(found))
                live.update(last, refresh=True)
    finally:
        console.print(last)
    return code


def _all(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield from parts(found, time.time())
    if found["error"]:
        yield Text(f"Error: {clean(found['error'])}", style="red")


def gather(paths: Paths) -> tuple[dict[str, Any], int]:
    """What the bus and `ligand up` say, and the exit code that it means."""
    up, error, bus = units_of(paths), None, None
    try:
        bus = ask_bus(paths, "status")
    except BusUnreachableError as unreachable:
        error = f"No bus answers at {paths.bus_socket}: see its line above." if up else unreachable.message
        error += _INTERRUPTED if _is_interrupted(paths) else ""
    daemons = _with_units(bus.pop("daemons") if bus else [], up)
    ready = bus is not None and all(daemon["ready"] for daemon in daemons)
    code = UNREACHABLE if bus is None else OK if ready else NOTHING
    return {"ready": ready, "error": error, "bus": bus, "daemons": daemons, "up": up}, code


def _is_interrupted(paths: Paths) -> bool:
    return (paths.journal.parent / restoring.READY / restoring.PLAN).exists()


def units_of(paths: Paths) -> dict[str, Any] | None:
    """What `ligand up` wrote of its units; None when it does not run here."""
    try:
        found: dict[str, Any] = orjson.loads((paths.run / "units.json").read_bytes())
        holder = (paths.run / "up.lock").read_text().strip()  # emptied when `ligand up` ends
        os.kill(found["pid"], 0)
        pid = str(found["pid"])
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None
    except (ValueError, TypeError, KeyError):  # not what `ligand up` writes, so it does not run
        return None
    except PermissionError:  # another user's, and so alive; or not ours to read
        return None
    return found if holder == pid else None


def _with_units(daemons: list[dict[str, Any]], up: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Each daemon of the bus with its unit's state, if `ligand up` runs it."""
    units = {unit["daemon"]: unit for unit in up["units"]} if up else {}
    return [{**daemon, "unit": units.get(daemon["daemon"])} for daemon in daemons]


def parts(found: Mapping[str, Any], now_s: float) -> Iterator[RenderableType]:
    """What is shown, from top to bottom."""
    if found["bus"]:
        yield Text(bus_line(found["bus"], now_s))
        yield from (Text(line, style="yellow") for line in warnings(found["bus"]))
        yield daemon_table(found["daemons"])
    elif found["up"]:
        yield Text(f"`ligand up` runs here (pid {found['up']['pid']}):")
        yield unit_table(found["up"]["units"])


def bus_line(bus: Mapping[str, Any], now_s: float) -> str:
    """The bus in one line."""
    up = seconds_text(max(0.0, now_s - bus["started_at"]))
    used, budget = bus["journal_bytes"] / 1e6, bus["budget_bytes"] / 1e6
    return f"bus: pid {bus['pid']}, up {up}, head {bus['head']}, journal {used:.1f} of {budget:.0f} MB"


def warnings(bus: Mapping[str, Any]) -> list[str]:
    """What a person should know before the daemons."""
    dead = sum(bus["dead_letters"].values())
    found = [f"new stories are refused: {clean(bus['refusing_roots'])}"] if bus["refusing_roots"] else []
    if "*" in bus["paused"]:
        found.append("everything is paused: `ligand resume`")
    if dead:
        found.append(f"{dead} dead letter{'s' * (dead != 1)}: `signal-tap dead list`")
    return found


def daemon_table(daemons: list[dict[str, Any]]) -> Listing:
    """The daemons, and why one is not ready."""
    right = (Column(heading, rank, right=True) for heading, rank in (("PID", 5), ("LAG", 3), ("RESTARTS", 4)))
    shown = Listing(Column("DAEMON"), Column("STATE", 1), *right, Column("MESSAGE", 2, folds=True))
    for daemon in daemons:
        unit = daemon["unit"] or {}
        shown.add(
            clean(daemon["daemon"]),
            Text(clean(daemon["state"]), style=_COLOURS.get(daemon["state"], "red")),
            str(daemon["pid"] or "-"),
            str(daemon["lag"]),
            str(unit.get("restarts", "-")),
            shorten(clean(daemon["message"] or _why(daemon, unit)), 300),
        )
    return shown


def _why(daemon: Mapping[str, Any], unit: Unit) -> str:
    if daemon["ready"]:
        return ""
    if unit.get("failure"):
        return str(unit["failure"])
    name = str(daemon["daemon"])
    if unit:
        return f"{unit['state']}; last end: {unit.get('last_end') or 'none'}"
    return f"not attached; start it: systemctl start {unit_of(name).removesuffix('.service')}"


def unit_table(units: list[dict[str, Any]]) -> Listing:
    """The units of `ligand up`."""
    ranks = (("STATE", 1), ("PID", 4), ("RESTARTS", 3))
    shown = Listing(Column("DAEMON"), *(Column(*each) for each in ranks), Column("MESSAGE", 2, folds=True))
    for unit in units:
        told = unit["failure"] or unit["last_end"] or unit["status"] or ""
        row = (unit["daemon"], unit["state"], str(unit["pid"] or "-"), str(unit["restarts"]), shorten(str(told), 300))
        shown.add(*map(clean, row))
    return shown
