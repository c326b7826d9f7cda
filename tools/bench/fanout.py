"""What watching costs: the mirror to one tap, four and sixteen, beside pyzmq's own PUB and SUB with the same frames.

The rate of the mirror is that of a bus that writes to a disk before it shows anything; what the mirror itself costs is
what the taps add to the bus's CPU time, and stands beside that of a bare publisher with as many subscribers.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import zmq

from tools.bench.home import PAD, Home, cpu_s, opened
from tools.bench.load import emit_batches
from tools.bench.report import Measured

NAME = "Q_BENCH_ITEM"
TAPS = (1, 4, 16)
HALF = 0.5
BATCH = 200
"""Signals a request, each sent once the one before is acknowledged: the bus does the same turns with taps or none."""


class _Shown(NamedTuple):
    """Messages a second that each tap saw, how many all of them missed, the publisher's CPU time for each in µs."""

    rate: float
    missed: int
    cost: float


def measure(within: Path, quick: bool) -> list[Measured]:
    """Signals a second that each tap sees, with the bus and without it."""
    count = 2_000 if quick else 20_000
    found = []
    for taps in TAPS:
        with opened(within) as home:
            home.contract(NAME)
            bus = home.bus().pid
            before = _alone(home, bus, count)
            watched = _watched(home, bus, taps, count)
            alone = (before + _alone(home, bus, count)) / 2
            bare = _bare(home, taps, count)
        found += _figures(taps, watched, bare, max(watched.cost - alone, 0.01))
    return found


def _figures(taps: int, watched: _Shown, bare: _Shown, added: float) -> list[Measured]:
    figure, publisher = f"mirror, {_taps(taps)}", f"pyzmq PUB/SUB, {_taps(taps)}"
    how = f"each tap; emitted {BATCH} a request, on disk, mirrored"
    cost, more = f"{publisher}, CPU of the publisher", "without taps, with them, without"
    return [
        Measured(figure, watched.rate, "signals/s", note=how),
        Measured(publisher, bare.rate, "messages/s", note="each subscriber; no bus, no disk", of=figure, aim=HALF),
        Measured(f"{figure}, missed", watched.missed, "signals", note="by all taps together"),
        Measured(cost, bare.cost, "µs/message", note="no bus, no disk"),
        Measured(f"{figure}, added to the bus", added, "µs CPU/signal", note=more, of=cost, aim=HALF),
    ]


def _alone(home: Home, bus: int, count: int) -> float:
    """The bus's CPU time for each signal while nobody watches, in µs."""
    before = cpu_s(bus)
    emit_batches(home.paths.bus_socket, NAME, count, BATCH, window=1)
    return 1e6 * (cpu_s(bus) - before) / count


def _taps(count: int) -> str:
    return "1 tap" if count == 1 else f"{count} taps"


def _watched(home: Home, bus: int, taps: int, count: int) -> _Shown:
    def publish() -> None:
        emit_batches(home.paths.bus_socket, NAME, count, BATCH, window=1)

    mirror = home.paths.mirror_socket
    return _run(home, "mirror", mirror, taps=taps, count=count, publish=publish, cpu=lambda: cpu_s(bus))


def _bare(home: Home, taps: int, count: int) -> _Shown:
    path = home.paths.run / "raw.sock"
    context = zmq.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.setsockopt(zmq.XPUB_NODROP, 1)  # wait for the subscribers: what is wanted is their rate
    publisher.setsockopt(zmq.XPUB_VERBOSE, 1)
    publisher.bind(f"ipc://{path}")
    frames = [NAME.encode(), b"12345", b"x" * (400 + len(PAD))]

    def publish() -> None:
        for _ in range(taps):
            publisher.recv()  # a subscription has arrived
        for _ in range(count):
            publisher.send_multipart(frames)

    try:
        return _run(home, "raw", path, taps=taps, count=count, publish=publish, cpu=time.process_time)
    finally:
        publisher.close()
        context.term()


def _run(
    home: Home,
    kind: str,
    path: Path,
    *,
    taps: int,
    count: int,
    publish: Callable[[], None],
    cpu: Callable[[], float],
) -> _Shown:
    """Publish to so many watchers, and see the last of it arrive; `cpu` tells the publisher's CPU seconds."""
    names = [f"{kind}_{taps}_{n}" for n in range(taps)]
    watchers = [home.start(name, "-m", "tools.bench.tap", kind, str(path), str(count)) for name in names]
    before = cpu()
    publish()
    told = [_told(home, name, watcher) for name, watcher in zip(names, watchers, strict=True)]
    cost = 1e6 * (cpu() - before) / count
    first, last = min(one[2] for one in told), max(one[3] for one in told)
    return _Shown(sum(one[0] for one in told) / taps / (last - first), int(sum(one[1] for one in told)), cost)


def _told(home: Home, name: str, watcher: subprocess.Popen[bytes]) -> list[float]:
    watcher.wait(90)
    found: list[float] = json.loads((home.folder / f"{name}.log").read_text())
    return found
