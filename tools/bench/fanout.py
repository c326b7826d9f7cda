"""What watching costs: the mirror to one tap and to four, beside pyzmq's own PUB and SUB with the same frames."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import zmq

from tools.bench.home import PAD, Home, opened
from tools.bench.load import emit_many
from tools.bench.report import Measured

NAME = "Q_BENCH_ITEM"
TAPS = (1, 4, 16)
HALF = 0.5


def measure(within: Path, quick: bool) -> list[Measured]:
    """Signals a second that each tap sees, with the bus and without it."""
    count = 2_000 if quick else 20_000
    found = []
    for taps in TAPS:
        with opened(within) as home:
            home.contract(NAME)
            home.bus()
            watched, missed = _watched(home, taps, count)
            bare, _ = _bare(home, taps, count)
        figure, bare_how = f"mirror, {_taps(taps)}", "each subscriber; no bus, no disk"
        found.append(Measured(figure, watched, "signals/s", note="each tap; emitted, on disk, mirrored"))
        found.append(Measured(f"pyzmq PUB/SUB, {_taps(taps)}", bare, "messages/s", note=bare_how, of=figure, aim=HALF))
        found.append(Measured(f"{figure}, missed", missed, "signals", note="by all taps together"))
    return found


def _taps(count: int) -> str:
    return "1 tap" if count == 1 else f"{count} taps"


def _watched(home: Home, taps: int, count: int) -> tuple[float, int]:
    bus = home.paths.bus_socket
    return _run(home, "mirror", home.paths.mirror_socket, taps=taps, count=count, publish=lambda: _emit(bus, count))


def _emit(bus: Path, count: int) -> None:
    emit_many(bus, NAME, count)


def _bare(home: Home, taps: int, count: int) -> tuple[float, int]:
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
        return _run(home, "raw", path, taps=taps, count=count, publish=publish)
    finally:
        publisher.close()
        context.term()


def _run(home: Home, kind: str, path: Path, *, taps: int, count: int, publish: Callable[[], None]) -> tuple[float, int]:
    """(messages a second that each tap saw, how many all of them missed)."""
    names = [f"{kind}_{taps}_{n}" for n in range(taps)]
    watchers = [home.start(name, "-m", "tools.bench.tap", kind, str(path), str(count)) for name in names]
    publish()
    told = [_told(home, name, watcher) for name, watcher in zip(names, watchers, strict=True)]
    first, last = min(one[2] for one in told), max(one[3] for one in told)
    return sum(one[0] for one in told) / taps / (last - first), int(sum(one[1] for one in told))


def _told(home: Home, name: str, watcher: subprocess.Popen[bytes]) -> list[float]:
    watcher.wait(90)
    found: list[float] = json.loads((home.folder / f"{name}.log").read_text())
    return found
