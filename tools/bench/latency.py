"""How long an emit takes to reach its handler at 1,000 a second, beside what the disk alone takes."""

from __future__ import annotations

from array import array
from pathlib import Path

from tools.bench.disk import fdatasync_seconds
from tools.bench.home import BenchError, Home, opened
from tools.bench.load import emit_paced
from tools.bench.report import Measured, percentile

NAME = "Q_BENCH_ITEM"
PER_S = 1000
IN_FLIGHT = 64


def measure(within: Path, quick: bool) -> list[Measured]:
    """Emit → handler and append → durable, in one run on one file system."""
    seconds, appends = (1.0, 200) if quick else (10.0, 1000)
    with opened(within) as home:
        disk = fdatasync_seconds(home.folder, appends)
        took = _latencies(home, seconds)
        disk += fdatasync_seconds(home.folder, appends)
    how = f"at {PER_S:,}/s, {IN_FLIGHT} in flight, on disk before it is delivered"
    alone = "4 KiB append + fdatasync, before and after, nothing else running"
    return [
        *(Measured(f"emit → handler p{p:g}", percentile(took, p), "ms", None, how) for p in (50, 99, 99.9)),
        *(Measured(f"the disk's own p{p:g}", 1000 * percentile(disk, p), "ms", None, alone) for p in (50, 99)),
    ]


def _latencies(home: Home, seconds: float) -> list[float]:
    """Milliseconds from emit to handler."""
    home.contract(NAME)
    home.manifest("bench_listener", consumes=[NAME], in_flight=IN_FLIGHT)
    home.bus()
    notes = home.folder / "took"
    listener = home.start("bench_listener", "-m", "tools.bench.listener", str(notes))
    emit_paced(home.paths.bus_socket, NAME, PER_S, seconds)
    listener.terminate()
    listener.wait(30)
    found = array("q")
    found.frombytes(notes.read_bytes())
    if len(found) < 0.99 * PER_S * seconds:
        raise BenchError(f"Only {len(found):,} of {PER_S * seconds:,.0f} signals reached the handler in time.")
    return [nanoseconds / 1e6 for nanoseconds in found]
