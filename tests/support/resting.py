"""What a daemon that can do nothing costs meanwhile, and whether it still says that it lives."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.constellation import Running

WATCHED = {"WATCHDOG_USEC": "1000000"}
"""The environment of a daemon that feeds its watchdog twice a second."""


@dataclass(frozen=True, slots=True)
class Resting:
    """What a daemon took meanwhile: shares of one core, its own and its children's, and how often a second it woke."""

    share: float
    children: float
    wakes_per_s: float


def resting(running: Running, feeds: int = 4) -> Resting:
    """Wait until it has fed its watchdog so often; what it cost meanwhile. It was started with `WATCHED`."""
    running.notify.forget()
    running.heard("WATCHDOG=1")
    before, began = _spent(running.pid), time.monotonic()
    for _ in range(feeds):
        running.heard("WATCHDOG=1")
    after, took_s = _spent(running.pid), time.monotonic() - began
    return Resting(*((late - early) / took_s for early, late in zip(before, after, strict=True)))


def _spent(pid: int) -> tuple[float, float, int]:
    """Processor seconds of a process, and of its children with those that have ended; how often its threads woke."""
    own, ended = _cpu_s(pid)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own, ended + sum(_cpu_s(int(one))[0] for one in children), _wakes(pid)


def _cpu_s(pid: int) -> tuple[float, float]:
    """What a process has used, and what those of its children that have ended had."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # it has ended just now
        return 0.0, 0.0
    user, system, users, systems = (int(one) / os.sysconf("SC_CLK_TCK") for one in fields[11:15])
    return user + system, users + systems


def _wakes(pid: int) -> int:
    lines = (line for file in Path(f"/proc/{pid}/task").glob("*/status") for line in file.read_text().splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
