"""What taps cost, in CPU time, which a busy machine does not distort: the bus's for each emit, and their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from tools.bench.home import BenchError, Home, cpu_s, opened
from tools.bench.report import Measured
from tools.bench.tapping import NAME

LONGEST_S = 300.0
PAIRS = 16
BATCH = 50
SEVERAL = 4
LEAST_A_SECOND = 20_000
TICKS = 1e6


class _Tap:
    """`signal-tap follow -o json` into a pipe that is read at once."""

    def __init__(self, home: Home, *names: str) -> None:
        command = [sys.executable, "-m", "tools.signal_tap", "follow", "-o", "json", "-n", "1", *names]
        self.process = subprocess.Popen(
            [*command, "--home", str(home.folder)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0
        )
        self._lines = 0
        self._more = threading.Condition()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        if self.process.stdout is None:
            raise BenchError("a tap without a pipe")
        with self.process.stdout as pipe:
            while piece := pipe.read(1 << 20):
                with self._more:
                    self._lines += piece.count(b"\n")
                    self._more.notify_all()

    def wait(self, lines: int) -> None:
        """Until it has written so many in all. Raises `BenchError`."""
        with self._more:
            if not self._more.wait_for(lambda: self._lines >= lines, LONGEST_S):
                raise BenchError(f"A tap wrote {self._lines} of {lines} lines within {LONGEST_S:.0f} s.")

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self._reading.join()


def measure(within: Path, quick: bool) -> list[Measured]:
    """The bus's CPU time for each emit with no tap, one, four and a stopped one; a tap's for each signal."""
    count = 2_000 if quick else 40_000
    with opened(within) as home:
        home.contract(NAME)
        home.bus()
        _emit(home, count // 4)  # what the first emits cost alone is no matter here
        found = [_of_bus(home, taps, count) for taps in (0, 1, SEVERAL)]
        stopped, _ = _of_bus(home, 1, count, stopped=True)
        per_tap = found[1][1]
        verbs = [_of_verb(home, verb, count) for verb in ("hz", "bw")]
        added = {names: _paired(home, names, count // 5, 2 if quick else PAIRS) for names in ((), (NAME,))}
    how = f"{count:,} emits of one client"
    names = ("no tap", "one tap", f"{SEVERAL} taps")
    follow = "`follow -o json` to a pipe"
    return [
        *(Measured(f"bus, {name}", bus, "µs CPU/emit", None, how) for name, (bus, _) in zip(names, found, strict=True)),
        Measured("bus, a stopped tap", stopped, "µs CPU/emit", None, f"{how}; SIGSTOP"),
        Measured("tap, follow", per_tap, "µs CPU/signal", None, f"{follow}, as they come"),
        *(
            Measured(f"bus, added by {tap}", median(costs), "µs CPU/emit", None, _spread(costs, count // 5))
            for tap, costs in zip(("a tap", "a tap with a name"), added.values(), strict=True)
        ),
        *(
            Measured(f"tap, {verb} {which}", cost, "µs CPU/signal", None, f"`{verb} -o json`, {how}")
            for verb, *costs in verbs
            for which, how, cost in zip(("-T", "live"), ("what is journaled", "as they come"), costs, strict=True)
        ),
        *(
            Measured(
                f"tap, {verb} rate",
                TICKS / cost,
                "signals/s",
                LEAST_A_SECOND,
                "as they come, on a core of its own, from its CPU time",
            )
            for verb, cost in (("follow", per_tap), *((verb, cost) for verb, _, cost in verbs))
        ),
    ]


def _emit(home: Home, count: int, *batch: int) -> None:
    """Emit so many; with `batch` in requests of that many, each once the one before is acknowledged."""
    command = [sys.executable, "-m", "tools.bench.tapping", str(home.paths.bus_socket), *map(str, (count, *batch))]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=LONGEST_S)


@contextmanager
def _taps(home: Home, count: int, *names: str) -> Iterator[list[_Tap]]:
    with ExitStack() as stack:
        taps = []
        for _ in range(count):
            taps.append(_Tap(home, *names))
            stack.callback(taps[-1].close)
        for tap in taps:
            tap.wait(1)
        yield taps


def _of_bus(home: Home, taps: int, count: int, *, stopped: bool = False) -> tuple[float, float]:
    """(the bus's, a tap's) CPU time for each of `count` signals, in µs."""
    with _taps(home, taps) as found:
        if stopped:
            found[0].process.send_signal(signal.SIGSTOP)
        pids = [tap.process.pid for tap in found]
        bus, own = home.cpu_s()[0], sum(map(cpu_s, pids))
        _emit(home, count)
        bus = home.cpu_s()[0] - bus
        if stopped:
            return TICKS * bus / count, 0.0
        for tap in found:
            tap.wait(count + 1)
        own = sum(map(cpu_s, pids)) - own
    return TICKS * bus / count, TICKS * own / count / max(taps, 1)


def _paired(home: Home, names: Sequence[str], count: int, pairs: int) -> list[float]:
    """What one tap adds to the bus's CPU time for each emit, in µs: in each pair once without it and once with it.

    The two follow each other at once, each first in every other pair: what else the machine does weighs on both. The
    bus does the same turns in both: with many requests on their way it takes in the more at once the less it is let
    run, and a commit shared by more is cheaper for each.
    """
    found = []
    for nth in range(pairs):
        order = (0, 1) if nth % 2 else (1, 0)
        costs = {taps: _of_turns(home, taps, names, count) for taps in order}
        found.append(costs[1] - costs[0])
    return found


def _of_turns(home: Home, taps: int, names: Sequence[str], count: int) -> float:
    with _taps(home, taps, *names):
        before = home.cpu_s()[0]
        _emit(home, count, BATCH)
        return TICKS * (home.cpu_s()[0] - before) / count


def _spread(added: Sequence[float], count: int) -> str:
    ordered = sorted(added)
    low, high = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
    how = f"median of {len(ordered)} pairs of {count:,} emits, {BATCH} a request, without and with"
    return f"{how}; middle half {low:.1f} to {high:.1f}"


def _of_verb(home: Home, verb: str, count: int) -> tuple[str, float, float]:
    """What a verb needs for each signal of the journal, and as they come, in µs of CPU; its start is taken off."""
    command = [sys.executable, "-m", "tools.signal_tap", verb, NAME, "-o", "json", "--home", str(home.folder)]
    head = home.head()
    start = _cpu_of([*command, "-T", "--from", str(head)])
    whole = _cpu_of([*command, "-T", "--from", "first"])
    with _begun([*command, "--from", str(head), "-c", str(count + 1)]) as following:
        _emit(home, count)
        live = _cpu_to_the_end(following)
    return verb, max(TICKS * (whole - start) / head, 1e-3), max(TICKS * (live - start) / count, 1e-3)


def _cpu_of(command: Sequence[str]) -> float:
    """CPU seconds of a command from its start to its end."""
    with _begun(command) as process:
        return _cpu_to_the_end(process)


@contextmanager
def _begun(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs, its output thrown away; killed if it still does at the end."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _cpu_to_the_end(process: subprocess.Popen[bytes]) -> float:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise BenchError(f"A signal-tap ended with status {process.returncode}.")
    return usage.ru_utime + usage.ru_stime
