"""A daemon that notes how long each signal took to reach it: `python -m tools.bench.listener FILE`."""

import sys
import time
from array import array
from pathlib import Path

from services.runtime import Daemon
from signals.envelope import Signal

daemon = Daemon("bench_listener")
took = array("q")


@daemon.on("Q_BENCH_ITEM")
async def hear(signal: Signal) -> None:
    """Note the nanoseconds since it was emitted."""
    took.append(time.monotonic_ns() - signal.facts["n"])


@daemon.on_stop
async def write() -> None:
    """Leave the notes in the file."""
    Path(sys.argv[1]).write_bytes(took.tobytes())


daemon.run()
