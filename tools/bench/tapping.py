"""What `signal-tap follow -o json` into a pipe reads, from the journal and beside emitters, and what it costs those."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.bench.home import Home, opened
from tools.bench.load import emit_batches, emit_many
from tools.bench.report import Measured

NAME = "Q_BENCH_ITEM"
TARGET = 20_000


def measure(within: Path, quick: bool) -> list[Measured]:
    """Signals a second: a backlog that is read to its end, and emits with a tap and without one."""
    count = 2_000 if quick else 40_000
    with opened(within) as home:
        home.contract(NAME)
        home.bus()
        alone = count / emit_many(home.paths.bus_socket, NAME, count)
        backlog = _rate(home, count, "--from", "first", "-T", NAME)
        beside, kept_up = _beside(home, count)
    how = "`signal-tap follow -o json` to a pipe"
    return [
        Measured("tap, backlog", backlog, "signals/s", TARGET, f"{how}, {count:,} journaled"),
        Measured("tap, beside emits", kept_up, "signals/s", None, f"{how}, from the first emit to the last line"),
        Measured("emits, with a tap", beside, "emits/s", None, "one client"),
        Measured("emits, without one", alone, "emits/s", None, "one client"),
    ]


@contextmanager
def _tap(home: Home, count: int, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tools.signal_tap", "follow", "-o", "json", "-c", str(count), *arguments]
    process = subprocess.Popen(
        [*command, "--home", str(home.folder)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _read(process: subprocess.Popen[bytes], count: int) -> tuple[float, float]:
    """When the first and the last of so many lines came."""
    if process.stdout is None:
        raise ValueError("a tap without a pipe")
    first, seen = 0.0, 0
    while seen < count and (piece := process.stdout.read(1 << 20)):
        first = first or time.perf_counter()
        seen += piece.count(b"\n")
    return first, time.perf_counter()


def _rate(home: Home, count: int, *arguments: str) -> float:
    with _tap(home, count, *arguments) as process:
        first, last = _read(process, count)
    return count / (last - first)


def _beside(home: Home, count: int) -> tuple[float, float]:
    """(emits a second, signals a second that the tap wrote) when both run."""
    with _tap(home, count + 1, "-n", "1", NAME) as process:
        if process.stdout is not None:
            process.stdout.readline()  # the one from before: it follows now
        load = subprocess.Popen(
            [sys.executable, "-m", "tools.bench.tapping", str(home.paths.bus_socket), str(count)],
            stdout=subprocess.PIPE,
        )
        try:
            first, last = _read(process, count)
            told, _ = load.communicate(timeout=120)
        finally:
            load.kill()
            load.wait()
    return count / float(told), count / (last - first)


if __name__ == "__main__":
    bus, many = Path(sys.argv[1]), int(sys.argv[2])
    if sys.argv[3:]:
        emit_batches(bus, NAME, many, int(sys.argv[3]), window=1)
    else:
        print(emit_many(bus, NAME, many), flush=True)
