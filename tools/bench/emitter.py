"""The client that every daemon has, emitting signal after signal with a window of them on their way.

`python -m tools.bench.emitter SOCKET DAEMON NAME COUNT WINDOW` prints what it did as JSON; its times are Unix seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import sys
import time
from pathlib import Path

from signals.client import Client
from signals.delivery import Delivery
from signals.envelope import Signal, rfc3339
from signals.errors import LigandError
from signals.ids import uuid7
from tools.bench.home import PAD


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


async def emit(bus: Path, daemon: str, name: str, count: int, window: int) -> tuple[float, float]:
    """Unix seconds of the first emit and of the last acknowledgement, each signal on disk."""
    client = Client(daemon, bus, _Deaf(), lanes={})
    await client.attach(10.0)
    host = socket.gethostname() or "localhost"
    numbers = itertools.count()

    async def worker() -> None:
        while (n := next(numbers)) < count:
            facts = {"n": n, "pad": PAD}
            await client.emit([Signal(name, uuid7(), rfc3339(time.time()), daemon, host, 1, facts)])

    began = time.time()
    await asyncio.gather(*(worker() for _ in range(window)))
    ended = time.time()
    await client.detach()
    return began, ended


if __name__ == "__main__":
    bus, daemon, name, count, window = sys.argv[1:6]
    began, ended = asyncio.run(emit(Path(bus), daemon, name, int(count), int(window)))
    print(json.dumps({"count": int(count), "began": began, "ended": ended}), flush=True)
