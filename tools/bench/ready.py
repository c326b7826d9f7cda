"""From `ligand up` to every daemon ready, and what the constellation costs while nothing happens."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from services.runtime.manifest import Manifest, packaged
from signals.emitter import Emitter
from signals.errors import LigandError
from signals.journal import Journal
from tools.bench import rivals
from tools.bench.home import ROOT, BenchError, Home, opened
from tools.bench.report import Measured

READY_S, IDLE_PERCENT, PROPORTIONAL_MIB = 3.0, 1.0, 45.0
SETTLE_S = 2.0
"""What a start leaves behind is not idleness: first looks, first deliveries."""
START_S = 60.0
IDLE, IDLE_BUS = "idle, CPU of all daemons", "idle, CPU of the bus"


def measure(within: Path, quick: bool) -> list[Measured]:
    """The packaged daemons as installed, in a home of their own; then an idle bus of another kind."""
    idle_s = 2.0 if quick else 20.0
    with opened(within) as home, _up(home) as (seconds, processes):
        time.sleep(SETTLE_S)
        busy = _busy(processes, idle_s)
        shares = {name: _proportional_mib(pid) for name, pid in processes.items()}
    found = [
        Measured("all daemons ready", seconds, "s", note=f"{len(processes)} daemons, from `ligand up`", limit=READY_S),
        Measured(
            IDLE,
            sum(busy.values()),
            "% of a core",
            note=f"over {idle_s:g} s, from {SETTLE_S:g} s after that; heartbeats included",
            limit=IDLE_PERCENT,
        ),
        Measured(IDLE_BUS, busy["bus"], "% of a core", note="of that, the bus alone"),
        *(
            Measured(f"memory, {name}", mib, "MiB", note="its share of what is shared (PSS)", limit=_limit(name))
            for name, mib in sorted(shares.items())
        ),
    ]
    return found + (_ovos(within, idle_s) if rivals.missing() is None else [])


def _limit(name: str) -> float | None:
    """What a daemon's manifest allows it; less for one that needs only the bus."""
    (manifest,) = (one for path in packaged() if (one := Manifest.load(path)).daemon == name.partition("@")[0])
    allowed = manifest.budget.memory_mib if manifest.budget else None
    return allowed if name == "bus" or manifest.unit.get("network") else PROPORTIONAL_MIB


@contextmanager
def _up(home: Home) -> Iterator[tuple[float, dict[str, int]]]:
    """(seconds until all were ready, the process of each daemon)."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tools.ligand", "up", "--home", str(home.folder)]
    with (home.folder / "up.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        found = _ready(home, process)
        yield time.monotonic() - began, found
    finally:
        process.terminate()
        process.wait(60)


def _ready(home: Home, process: subprocess.Popen[bytes]) -> dict[str, int]:
    """Wait until each has said that it is ready; the process of each."""
    deadline, wanted = time.monotonic() + START_S, 2
    while time.monotonic() < deadline and process.poll() is None:
        if (told := _told(home)) >= wanted:
            with Emitter(home.paths.bus_socket, timeout_s=10.0) as emitter:
                status = emitter.query("status")
            pids = {one["daemon"]: one["pid"] for one in status["daemons"]} | {"bus": status["pid"]}
            wanted = len(pids)
            if told >= wanted:
                return pids
        time.sleep(0.02)
    raise BenchError(f"Not every daemon got ready:\n{(home.folder / 'up.log').read_text()[-2000:]}")


def _told(home: Home) -> int:
    """How many have said that they are ready: looked up in the journal, which costs the bus nothing."""
    try:
        with Journal(home.paths.journal) as journal:
            return journal.names().get("Q_DAEMON_READY", 0)
    except LigandError:  # there is none yet
        return 0


def _busy(processes: Mapping[str, int], seconds: float) -> dict[str, float]:
    """How much of one core each of these uses, in percent."""
    before = {name: _cpu_ticks(pid) for name, pid in processes.items()}
    time.sleep(seconds)
    a_second = os.sysconf("SC_CLK_TCK")
    return {name: 100 * (_cpu_ticks(pid) - before[name]) / a_second / seconds for name, pid in processes.items()}


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _proportional_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _ovos(within: Path, idle_s: float) -> list[Measured]:
    """The message bus of a voice assistant: no schema, no journal, no acknowledgement."""
    with opened(within) as home:
        environment = {**os.environ, "HOME": str(home.folder), "XDG_CONFIG_HOME": str(home.folder)}
        process = subprocess.Popen(
            [rivals.PYTHON.with_name("ovos-messagebus")],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(5.0)
            if process.poll() is not None:
                raise BenchError("ovos-messagebus did not stay up.")
            busy = _busy({"ovos": process.pid}, idle_s)["ovos"]
            mib = _proportional_mib(process.pid)
        finally:
            process.kill()
            process.wait()
    return [
        Measured("ovos-messagebus, CPU", busy, "% of a core", note="the bus alone, without a client", of=IDLE_BUS),
        Measured("ovos-messagebus, idle", mib, "MiB", note="the bus alone, in memory", of="memory, bus"),
    ]
