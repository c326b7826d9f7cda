"""Whether a large journal slows anything: emits, `trace` and `show` at a hundred thousand, a million and five million
signals. The yardstick is the same figure on the smallest."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from signals.envelope import decode
from signals.journal import Journal
from tools.bench.home import Home, opened
from tools.bench.load import emit_batches, emit_many
from tools.bench.report import Measured

NAME = "Q_BENCH_ITEM"
SIZES = (100_000, 1_000_000, 5_000_000)
QUICK_SIZES = (1_000, 5_000)
BATCH = 200
QUERIES = 5
FLAT = 0.85
SLOWER = 1.5


def measure(within: Path, quick: bool) -> list[Measured]:
    """One journal that grows: at each size the rate of emits and the time of whole commands."""
    found: list[Measured] = []
    smallest: dict[str, str] = {}
    with opened(within) as home:
        home.contract(NAME)
        home.bus(retention={"bytes": 64 << 30})
        for size in QUICK_SIZES if quick else SIZES:
            emit_batches(home.paths.bus_socket, NAME, size - home.head(), BATCH)
            for name, value, unit in _at(home, 2_000 if quick else 40_000):
                whole = f"{name}, {size:,} signals"
                first = smallest.setdefault(name, whole)
                found.append(_beside(Measured(whole, value, unit), first))
    return found


def _at(home: Home, emits: int) -> list[tuple[str, float, str]]:
    rate = emits / emit_many(home.paths.bus_socket, NAME, emits)
    with Journal(home.paths.journal) as journal:
        ((_, raw),) = journal.page(journal.head() // 2, 1)
    return [
        ("emits", rate, "signals/s"),
        ("signal-tap trace", _milliseconds(home, "trace", decode(raw).id), "ms"),
        ("signal-tap show -n 20", _milliseconds(home, "show", "-n", "20", "-o", "json"), "ms"),
    ]


def _beside(found: Measured, first: str) -> Measured:
    """The ratio is the smallest journal's figure by this one's."""
    if found.name == first:
        return found
    if found.unit == "ms":
        return replace(found, of=first, aim=1 / SLOWER)
    return replace(found, of=first, bound=1 / FLAT)


def _milliseconds(home: Home, *command: str) -> float:
    """The fastest of a few runs of the whole command."""
    return 1000 * min(_seconds(home, *command) for _ in range(QUERIES))


def _seconds(home: Home, *command: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "tools.signal_tap", *command, "--home", str(home.folder)],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began
