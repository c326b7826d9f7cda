"""Durable acknowledged emits a second from one client with many requests on their way."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from pathlib import Path

from signals.client import Client, Delivery
from signals.envelope import Signal, rfc3339
from signals.errors import LigandError
from signals.ids import uuid7
from tools.bench.home import PAD, opened
from tools.bench.load import emit_many
from tools.bench.report import Measured

TARGET = 20_000
NAME = "Q_BENCH_ITEM"
DAEMON = "bench_emitter"
WINDOW = 1000


def measure(within: Path, quick: bool) -> list[Measured]:
    """Both ways to emit, one after the other, into one journal."""
    count = 4_000 if quick else 40_000
    with opened(within) as home:
        home.contract(NAME)
        home.manifest(DAEMON, emits=[NAME])
        home.bus()
        (before,) = home.cpu_s()
        plain = emit_many(home.paths.bus_socket, NAME, count, WINDOW)
        (after,) = home.cpu_s()
        client = asyncio.run(_by_client(home.paths.bus_socket, count // 2))
    how = f"one signal a request, {WINDOW} on their way"
    return [
        Measured("emits, synchronous client", (count - 1) / plain, "signals/s", TARGET, how),
        Measured(
            "emits, CPU of the bus", 1e6 * (after - before) / count, "µs/signal", None, "with the synchronous client"
        ),
        Measured("emits, asyncio client", count // 2 / client, "signals/s", None, how),
    ]


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
