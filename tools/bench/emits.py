"""Durable acknowledged emits a second, from one client and from four, beside JetStream, Redis Streams and Mosquitto."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from signals.client import Client, Delivery
from signals.envelope import Signal, rfc3339
from signals.errors import LigandError
from signals.ids import uuid7
from tools.bench import rivals
from tools.bench.home import PAD, ROOT, Home, opened
from tools.bench.load import emit_many
from tools.bench.report import Measured

TARGET = 20_000
NAME = "Q_BENCH_ITEM"
DAEMON = "bench_emitter"
WINDOW = 1000
EMITTERS = 4
ONE, FOUR = "emits, synchronous client", f"emits, {EMITTERS} synchronous clients"


def measure(within: Path, quick: bool) -> list[Measured]:
    """Every way to emit, one after the other, then the same load on what else there is."""
    count = 4_000 if quick else 40_000
    with opened(within) as home:
        found = _ours(home, count)
    if rivals.missing() is None:
        found += [one for emitters in (1, EMITTERS) for one in _others(within, count // 2, emitters)]
    return found


def _ours(home: Home, count: int) -> list[Measured]:
    home.contract(NAME)
    home.manifest(DAEMON, emits=[NAME])
    home.bus()
    (before,) = home.cpu_s()
    plain = emit_many(home.paths.bus_socket, NAME, count, WINDOW)
    (after,) = home.cpu_s()
    client = asyncio.run(_by_client(home.paths.bus_socket, count // 2))
    four = _by_processes(home, count // EMITTERS)
    how = f"one signal a request, {WINDOW} on their way"
    return [
        Measured(ONE, (count - 1) / plain, "signals/s", TARGET, how),
        Measured(FOUR, four, "signals/s", None, f"{how} from each process"),
        Measured("emits, asyncio client", count // 2 / client, "signals/s", None, how),
        Measured(
            "emits, CPU of the bus", 1e6 * (after - before) / count, "µs/signal", None, "with the synchronous client"
        ),
    ]


def _by_processes(home: Home, count: int) -> float:
    command = [sys.executable, "-m", "tools.bench.load", str(home.paths.bus_socket), NAME, str(count), str(WINDOW)]
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(EMITTERS)]
    try:
        return rivals.rate([json.loads(process.communicate(timeout=rivals.RUN_S)[0]) for process in started])
    finally:
        for process in started:
            process.kill()
            process.wait()


def _others(within: Path, count: int, emitters: int) -> Iterator[Measured]:
    """Each with as many messages of the same size on their way."""
    beside = ONE if emitters == 1 else FOUR
    many = "" if emitters == 1 else f", {emitters} clients"
    pad, each = "x" * 450, count // emitters
    with opened(within) as home, rivals.jetstream(home.folder) as port:
        found = rivals.together("jetstream", "publish", port, each, "bench.emits", WINDOW, pad, times=emitters)
    note = "nats-py publish_async, file storage; acknowledged before it is synced"
    yield Measured(f"JetStream{many}", found, "messages/s", note=note, of=beside, aim=1.0)
    with opened(within) as home, rivals.redis(home.folder) as path:
        found = rivals.together("streams", "add", path, each, WINDOW, pad, times=emitters)
    yield Measured(f"Redis Streams{many}", found, "entries/s", note="XADD in pipelines, appendfsync always", of=beside)
    with opened(within) as home, rivals.mosquitto(home.folder) as port:
        found = rivals.together("mqtt", port, each, WINDOW, pad, times=emitters)
    yield Measured(f"Mosquitto{many}", found, "messages/s", note="QoS 1 through paho; kept in memory", of=beside)


class _Deaf:
    """A receiver for a client that only emits."""

    def delivered(self, delivery: Delivery) -> None:
        """Nothing is."""

    def withdrawn(self, lane: str, seq: int) -> None:
        """Nothing is."""

    def heard(self, raw: bytes) -> None:
        """Nothing is."""

    def attached(self) -> None:
        """As it should be."""

    def detached(self) -> None:
        """The client attaches again."""

    def ended(self, error: LigandError) -> None:
        """Attached for good or not at all."""
        raise error


async def _by_client(bus: Path, count: int) -> float:
    client = Client(DAEMON, bus, _Deaf(), lanes={})
    await client.attach(10.0)
    host = socket.gethostname() or "localhost"
    numbers = itertools.count()

    async def worker() -> None:
        while (n := next(numbers)) < count:
            facts = {"n": n, "pad": PAD}
            await client.emit([Signal(NAME, uuid7(), rfc3339(time.time()), DAEMON, host, 1, facts)])

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(WINDOW)))
    seconds = time.perf_counter() - began
    await client.detach()
    return seconds
