"""Durable consumption: how many waiting signals a second one daemon handles and acknowledges, beside a JetStream pull
consumer and a Redis consumer group."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from signals.emitter import Emitter
from tools.bench import rivals
from tools.bench.home import Home, opened
from tools.bench.load import emit_many
from tools.bench.report import Measured

NAME = "Q_BENCH_ITEM"
TAKER = "bench_taker"
IN_FLIGHT = 250
FIGURE = "consumed and acknowledged"


def measure(within: Path, quick: bool) -> list[Measured]:
    """The same number of waiting messages everywhere, as many in hand at once."""
    count = 2_000 if quick else 20_000
    with opened(within) as home:
        found = [Measured(FIGURE, _ours(home, count), "signals/s", None, f"one daemon, {IN_FLIGHT} in flight")]
    return found + (list(_others(within, count)) if rivals.missing() is None else [])


def _ours(home: Home, count: int) -> float:
    home.contract(NAME)
    home.manifest(TAKER, consumes=[NAME], in_flight=IN_FLIGHT)
    home.bus()
    home.start(TAKER, "-m", "tools.bench.taker")
    with Emitter(home.paths.bus_socket) as emitter:
        emitter.query("pause")
        emit_many(home.paths.bus_socket, NAME, count)
        last, began = home.head(), time.monotonic()
        emitter.query("resume")
        home.wait_settled(TAKER, last, 120.0)
    return count / (time.monotonic() - began)


def _others(within: Path, count: int) -> Iterator[Measured]:
    pad = rivals.PAYLOAD
    with opened(within) as home, rivals.jetstream(home.folder) as port:
        rivals.together("jetstream", "publish", port, count, "bench.consume", 1000, pad)
        found = rivals.together("jetstream", "pull", port, count, "bench.consume")
    yield Measured("JetStream, pull consumer", found, "messages/s", note="fetch of 250, acks", of=FIGURE, aim=1.0)
    with opened(within) as home, rivals.redis(home.folder) as path:
        rivals.together("streams", "add", path, count, 1000, pad)
        found = rivals.together("streams", "take", path, count, IN_FLIGHT, pad)
    note = "250 at a time, one XACK for all of them"
    yield Measured("Redis, consumer group", found, "entries/s", note=note, of=FIGURE)
