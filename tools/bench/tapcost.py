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

from tools.bench.home import BenchError, Home, cpu_s, opened
from tools.bench.report import Measured
from tools.bench.tapping import NAME

LONGEST_S = 300.0
SEVERAL = 4
LEAST_A_SECOND = 20_000
TICKS = 1e6


class _Tap:
    """`signal-tap follow -o json` into a pipe that is read at once."""

    def __init__(self, home: Home) -> None:
        command = [sys.executable, "-m", "tools.signal_tap", "follow", "-o", "json", "-n", "1", NAME]
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
        verbs = [_of_verb(home, verb) for verb in ("hz", "bw")]
    how = f"{count:,} emits of one client"
    names = ("no tap", "one tap", f"{SEVERAL} taps")
    follow = "`follow -o json` to a pipe"
    return [
        *(Measured(f"bus, {name}", bus, "µs CPU/emit", None, how) for name, (bus, _) in zip(names, found, strict=True)),
        Measured("bus, a stopped tap", stopped, "µs CPU/emit", None, f"{how}; SIGSTOP"),
        Measured("tap, follow", per_tap, "µs CPU/signal", None, f"{follow}, as they come"),
        *(
            Measured(f"tap, {verb}", cost, "µs CPU/signal", None, f"`{verb} -T -o json`, {read:,} journaled")
            for verb, cost, read in verbs
        ),
        *(
            Measured(
                f"tap, {verb} rate",
                TICKS / cost,
                "signals/s",
                LEAST_A_SECOND,
                "on a core of its own, from its CPU time",
            )
            for verb, cost in (("follow", per_tap), *((verb, cost) for verb, cost, _ in verbs))
        ),
    ]


def _emit(home: Home, count: int) -> None:
    command = [sys.executable, "-m", "tools.bench.tapping", str(home.paths.bus_socket), str(count)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=LONGEST_S)


@contextmanager
def _taps(home: Home, count: int) -> Iterator[list[_Tap]]:
    with ExitStack() as stack:
        taps = []
        for _ in range(count):
            taps.append(_Tap(home))
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


def _of_verb(home: Home, verb: str) -> tuple[str, float, int]:
    """What a verb needs for each signal of the journal, in µs of CPU time; what its start needs is taken off."""
    command = [sys.executable, "-m", "tools.signal_tap", verb, NAME, "-o", "json", "--home", str(home.folder)]
    head = home.head()
    start = _cpu_of([*command, "-T", "--from", str(head)])
    whole = _cpu_of([*command, "-T", "--from", "first"])
    return verb, max(TICKS * (whole - start) / head, 1e-3), head


def _cpu_of(command: Sequence[str]) -> float:
    """CPU seconds of a command from its start to its end."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise BenchError(f"{' '.join(command[2:4])} ended with status {process.returncode}.")
    return usage.ru_utime + usage.ru_stime
