"""`ligand down`: stop what `ligand up` started here."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path

import click

from services.runtime.commands import Finite
from signals.paths import Paths
from tools.cli import NOTHING, OK, TIMED_OUT, Failure, bus_listens, home_option, paths_of, told
from tools.ligand.listing import notice
from tools.ligand.lock import holder
from tools.ligand.status import units_of
from tools.progress import progress
from tools.text import seconds_text

LOOK_S = 0.2
RUNNING = ("starting", "ready", "reloading", "stopping")


@click.command()
@click.option("--timeout", "timeout_s", type=Finite(0), default=60.0, show_default=True, help="Wait at most so long.")
@click.option("--now", is_flag=True, help="Kill what does not end at once; nothing acknowledged is lost.")
@home_option
@told
def down(*, timeout_s: float, now: bool, home: Path | None) -> int:
    """Stop what `ligand up` runs here, and wait until it has ended.

    Daemons finish or give back what is in hand; the bus ends last. Exit code 0: nothing runs here any more;
    1: it is not ours to stop; 27: it still runs when the time is over.
    """
    paths = paths_of(home)
    pid = holder(paths.run / "up.lock")
    if pid is None:
        return _nothing_here(paths)
    begun = time.monotonic()
    if not _stopped(paths, pid, timeout_s, now):
        notice(f"`ligand up` (pid {pid}) still runs after {seconds_text(timeout_s)}. Kill it: `ligand down --now`.")
        return TIMED_OUT
    click.echo(f"stopped: pid {pid}, after {seconds_text(time.monotonic() - begun)}")
    return OK


def _nothing_here(paths: Paths) -> int:
    if bus_listens(paths):
        notice("The bus here was not started by `ligand up`. If systemd runs it: `systemctl stop ligand.target`.")
        return NOTHING
    click.echo("nothing runs here")
    return OK


def _stopped(paths: Paths, pid: int, timeout_s: float, now: bool) -> bool:
    """Ask process `pid` to end; whether it has within the time. Raises `Failure` for another user's."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if holder(paths.run / "up.lock") != pid:
            return True  # it ended before we held on to it
        # asked twice, it kills; two different signals, because equal ones that come together count once
        for number in (signal.SIGTERM, signal.SIGINT) if now else (signal.SIGTERM,):
            _send(process, number, pid)
        return _ended(paths, process, time.monotonic() + timeout_s)
    finally:
        os.close(process)


def _send(process: int, number: int, pid: int) -> None:
    try:
        signal.pidfd_send_signal(process, number)
    except ProcessLookupError:
        return  # it has just ended
    except PermissionError as error:
        raise Failure(f"`ligand up` (pid {pid}) belongs to another user. Stop it as that user.") from error


def _ended(paths: Paths, pidfd: int, deadline: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    total = _running(paths)
    with progress("stopping", total or None) as advance:
        while not poll.poll(LOOK_S * 1000):
            advance(max(0, total - _running(paths)))
            if time.monotonic() > deadline:
                return False
    return True


def _running(paths: Paths) -> int:
    found = units_of(paths)
    return sum(unit["state"] in RUNNING for unit in found["units"]) if found else 0
