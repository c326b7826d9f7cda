"""How long an emit takes to reach its handler, at a hundred to ten thousand a second, beside JetStream, beside a bare
round trip through ZeroMQ, and beside what the disk alone takes."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

from tools.bench import rivals
from tools.bench.disk import fdatasync_seconds
from tools.bench.echo import round_trips
from tools.bench.home import BenchError, Home, opened
from tools.bench.load import emit_paced
from tools.bench.report import Measured, percentile

NAME = "Q_BENCH_ITEM"
RATES = (100, 1_000, 10_000)
JUDGED = 1_000
LISTENER = "bench_listener"
PERCENTILES = (50, 99, 99.9)
IN_FLIGHT = 64
BEYOND_DISK_MS = 3.0


def measure(within: Path, quick: bool) -> list[Measured]:
    """Each rate on a home of its own; the disk before and after, with nothing else running."""
    seconds, appends = (1.0, 200) if quick else (10.0, 1000)
    return [one for per_s in RATES for one in _at(per_s, within, seconds, appends)]


def _at(per_s: int, within: Path, seconds: float, appends: int) -> Iterator[Measured]:
    with opened(within) as home:
        disk = fdatasync_seconds(home.folder, appends)
        ours = _latencies(home, per_s, seconds)
        disk += fdatasync_seconds(home.folder, appends)
    how = f"{IN_FLIGHT} in flight, on disk before it is delivered"
    for p in PERCENTILES:
        yield Measured(_name(per_s, p), percentile(ours, p), "ms", None, how)
    if per_s == JUDGED:
        yield from _disk(ours, [1000 * one for one in disk])
    yield from _beside(per_s, "ZeroMQ there and back", round_trips(per_s, seconds), "bare DEALER and ROUTER, no disk")
    if rivals.missing() is None:
        took = _jetstream(within, per_s, seconds)
        yield from _beside(per_s, "JetStream", took, "publish_async to push consumer, not synced")


def _name(per_s: int, p: float) -> str:
    return f"emit → handler at {per_s:,}/s, p{p:g}"


def _disk(ours: list[float], disk: list[float]) -> Iterator[Measured]:
    alone = "4 KiB append + fdatasync, before and after, nothing else running"
    for p in (50, 99):
        yield Measured(f"disk, p{p:g}", percentile(disk, p), "ms", note=alone, of=_name(JUDGED, p))
    bound = 2 * percentile(disk, 99) + BEYOND_DISK_MS
    note = f"twice the disk's p99 and {BEYOND_DISK_MS:g} ms"
    yield Measured("its bound", bound, "ms", note=note, of=_name(JUDGED, 99), bound=1.0)


def _beside(per_s: int, name: str, took: list[float], note: str) -> Iterator[Measured]:
    for p in PERCENTILES:
        yield Measured(f"{name} at {per_s:,}/s, p{p:g}", percentile(took, p), "ms", note=note, of=_name(per_s, p))


def _latencies(home: Home, per_s: int, seconds: float) -> list[float]:
    """Milliseconds from emit to handler."""
    home.contract(NAME)
    home.manifest(LISTENER, consumes=[NAME], in_flight=IN_FLIGHT)
    home.bus()
    notes = home.folder / "took"
    listener = home.start(LISTENER, "-m", "tools.bench.listener", str(notes))
    emit_paced(home.paths.bus_socket, NAME, per_s, seconds)
    home.wait_settled(LISTENER, home.head(), 60.0)
    listener.terminate()
    listener.wait(60)
    return _read(notes, int(per_s * seconds))


def _jetstream(within: Path, per_s: int, seconds: float) -> list[float]:
    count = int(per_s * seconds)
    with opened(within) as home, rivals.jetstream(home.folder) as port:
        notes = home.folder / "took"
        listener = rivals.Peer("jetstream", "listen", port, "bench.pace", count, notes).ready()
        rivals.Peer("jetstream", "pace", port, "bench.pace", per_s, seconds, rivals.PAYLOAD).result()
        listener.result()
        return _read(notes, count)


def _read(notes: Path, least: float) -> list[float]:
    found = array("q")
    found.frombytes(notes.read_bytes())
    if len(found) < least:
        raise BenchError(f"Only {len(found):,} of {least:,.0f} signals reached the handler in time.")
    return [nanoseconds / 1e6 for nanoseconds in found]
