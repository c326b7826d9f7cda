"""A watcher that counts what it sees until the last: `python -m tools.bench.tap mirror|raw SOCKET LAST`.

Prints, as JSON, how many it saw, how many it missed, and the monotonic times of the first and the last.
"""

import json
import sys
import time
from pathlib import Path

import zmq

from services.runtime.notify import Notifier
from signals.live import Subscription


def mirrored(path: Path, last: int) -> tuple[int, int, float, float]:
    """Watch the mirror with the project's own subscription."""
    with Subscription(path, ("Q_BENCH_*",)) as taps:
        taps.wait(30.0)  # the first beacon: from here on nothing is missed silently
        Notifier().ready()
        seen, first = 0, 0.0
        while taps.next(30.0) is not None:
            seen += 1
            first = first or time.monotonic()
            if seen + sum(taps.missed.values()) >= last:
                break
        return seen, sum(taps.missed.values()), first, time.monotonic()


def raw(path: Path, last: int) -> tuple[int, int, float, float]:
    """Receive the same frames with pyzmq alone."""
    context = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.SUBSCRIBE, b"Q_BENCH_")
    socket.connect(f"ipc://{path}")
    Notifier().ready()
    seen, first = 0, 0.0
    while seen < last and socket.poll(30_000):
        socket.recv_multipart()
        seen += 1
        first = first or time.monotonic()
    ended = time.monotonic()
    socket.close()
    context.term()
    return seen, last - seen, first, ended


if __name__ == "__main__":
    watch = {"mirror": mirrored, "raw": raw}[sys.argv[1]]
    print(json.dumps(watch(Path(sys.argv[2]), int(sys.argv[3]))), flush=True)
