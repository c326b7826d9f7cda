"""Whether a large journal slows anything: emits, `trace` and `show` at a hundred thousand, a million and five million
signals. The yardstick is the same figure on the smallest, round by round."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
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
ROUNDS = 6
EMITS = 10_000
"""In one round: after all of them the smallest journal is still about what it is called."""
BATCH = 200
QUERIES = 3
FLAT = 0.85
SLOWER = 1.5


def measure(within: Path, quick: bool) -> list[Measured]:
    """All sizes beside each other, each first in every other round: what else the machine does weighs on all."""
    sizes, rounds, emits = (QUICK_SIZES, 1, 2_000) if quick else (SIZES, ROUNDS, EMITS)
    found: list[Measured] = []
    with ExitStack() as stack:
        homes = dict(_grown(stack, within, sizes))
        for nth in range(rounds):
            order = sizes[::-1] if nth % 2 else sizes
            figures = {size: _at(homes[size], emits) for size in order}
            found += [_beside(one, size, sizes[0]) for size in sizes for one in figures[size]]
    return found


def _grown(stack: ExitStack, within: Path, sizes: Sequence[int]) -> Iterator[tuple[int, Home]]:
    """A home of each size, its bus running: one journal grows, and is copied on its way."""
    growing = stack.enter_context(_home(within))
    for size in sizes:
        _start(growing)
        emit_batches(growing.paths.bus_socket, NAME, size - growing.head(), BATCH)
        if size == sizes[-1]:
            yield size, growing
            return
        growing.close()  # a copy of files that are written to would be none
        copy = stack.enter_context(_home(within))
        shutil.copytree(growing.paths.journal.parent, copy.paths.journal.parent, dirs_exist_ok=True)
        _start(copy)
        yield size, copy


@contextmanager
def _home(within: Path) -> Iterator[Home]:
    with opened(within) as home:
        home.contract(NAME)
        yield home


def _start(home: Home) -> None:
    home.bus(retention={"bytes": 64 << 30})


def _at(home: Home, emits: int) -> list[Measured]:
    before = home.cpu_s()[-1]
    rate = emits / emit_many(home.paths.bus_socket, NAME, emits)
    cost = 1e6 * (home.cpu_s()[-1] - before) / emits
    with Journal(home.paths.journal) as journal:
        ((_, raw),) = journal.page(journal.head() // 2, 1)
    return [
        Measured("emits", rate, "signals/s", bound=1 / FLAT),
        Measured("emits, CPU of the bus", cost, "µs/signal"),
        Measured("signal-tap trace", _milliseconds(home, "trace", decode(raw).id), "ms", aim=1 / SLOWER),
        Measured("signal-tap show -n 20", _milliseconds(home, "show", "-n", "20", "-o", "json"), "ms", aim=1 / SLOWER),
    ]


def _beside(found: Measured, size: int, smallest: int) -> Measured:
    """The ratio is the smallest journal's figure by this one's; the smallest has none."""
    named = replace(found, name=f"{found.name}, {size:,} signals")
    if size == smallest:
        return replace(named, aim=None, bound=None)
    return replace(named, of=f"{found.name}, {smallest:,} signals")


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
