"""A client that keeps many emits on their way: one signal a request, a window of requests not yet acknowledged."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

from signals import wire
from signals.emitter import person
from signals.envelope import Signal, encode, rfc3339
from signals.frames import receive, send
from signals.ids import uuid7
from tools.bench.home import PAD, BenchError


class Pipeline:
    """A synchronous DEALER. Nothing is retried: a refusal ends the benchmark."""

    def __init__(self, bus: Path, window: int) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.connect(f"ipc://{bus}")
        self._window = window
        self._source = person()
        self._host = socket.gethostname() or "localhost"
        self._sent = 0
        self._acknowledged = 0

    def emit(self, name: str, *facts: dict[str, Any]) -> None:
        """Send one request with a signal for each facts, without waiting for its answer unless the window is full."""
        while self._sent - self._acknowledged >= self._window:
            self._take()
        now = rfc3339(time.time())
        signals = [Signal(name, uuid7(), now, self._source, self._host, 1, one) for one in facts]
        self._sent += 1
        send(self._socket, [wire.EMIT, b"%d" % self._sent, b"{}", *map(encode, signals)])

    def drain(self) -> None:
        """Wait until all are acknowledged."""
        while self._acknowledged < self._sent:
            self._take()

    def _take(self) -> None:
        if not self._socket.poll(30_000):
            raise BenchError("The bus has not answered for 30 s.")
        self.heed()

    def heed(self) -> None:
        """Take the answers that have come, without waiting for any."""
        while True:
            try:
                frames = receive(self._socket)
            except zmq.Again:
                return
            if frames[0] != wire.OK:
                raise BenchError(f"The bus refused: {frames[2].decode()}")
            self._acknowledged += 1

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
        self._context.term()


@contextmanager
def pipeline(bus: Path, window: int = 1000) -> Iterator[Pipeline]:
    """A pipeline that is closed at the end."""
    found = Pipeline(bus, window)
    try:
        yield found
    finally:
        found.close()


def emit_many(bus: Path, name: str, count: int, window: int = 1000) -> float:
    """Seconds until `count` signals are acknowledged, each on disk."""
    with pipeline(bus, window) as client:
        client.emit(name, {"n": 0, "pad": PAD})
        client.drain()
        began = time.perf_counter()
        for n in range(1, count):
            client.emit(name, {"n": n, "pad": PAD})
        client.drain()
        return time.perf_counter() - began


def emit_batches(bus: Path, name: str, count: int, batch: int, window: int = 10) -> None:
    """At least `count` signals, so many in a request: the fastest way to fill a journal.

    With a `window` of 1 each request waits for the one before, so that the bus does the same turns each time.
    """
    with pipeline(bus, window) as client:
        for first in range(0, count, batch):
            client.emit(name, *({"n": n, "pad": PAD} for n in range(first, first + batch)))
        client.drain()


def emit_paced(bus: Path, name: str, per_s: float, seconds: float) -> None:
    """Emit at a steady rate; `n` is the monotonic clock in nanoseconds at which each left."""
    with pipeline(bus) as client:
        due = time.monotonic()
        for _ in range(int(per_s * seconds)):
            due += 1 / per_s
            client.heed()  # a thousand answers at once would delay the emit that they are found at
            time.sleep(max(0.0, due - time.monotonic()))
            client.emit(name, {"n": time.monotonic_ns(), "pad": PAD})
        client.drain()
