"""A `signal-tap` that follows in a process of its own, its lines and notices waited for."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from tests.support.commands import started
from tests.support.constellation import Constellation

AMPLE_S = 60


class Lines:
    """Lines of a pipe, each waited for."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held = b""

    def next(self) -> bytes:
        while b"\n" not in self._held:
            assert select.select([self._fd], [], [], AMPLE_S)[0], "no line came"
            piece = os.read(self._fd, 1 << 20)
            assert piece, "it ended"
            self._held += piece
        line, _, self._held = self._held.partition(b"\n")
        return line

    def waits(self, timeout_s: float) -> bool:
        """Whether there is something to read within a time."""
        return bool(self._held or select.select([self._fd], [], [], timeout_s)[0])

    def rest(self) -> bytes:
        """What there is up to the end of the pipe."""
        while select.select([self._fd], [], [], AMPLE_S)[0] and (piece := os.read(self._fd, 1 << 20)):
            self._held += piece
        held, self._held = self._held, b""
        return held


class Follower:
    """A running `signal-tap` and the lines it printed."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._out, self._err = Lines(process.stdout.fileno()), Lines(process.stderr.fileno())

    def line(self) -> dict:
        """The next envelope."""
        found: dict = orjson.loads(self._out.next())
        return found

    def has_line(self) -> bool:
        """Whether a line comes within the second in which the bus shows that it lives."""
        return self._out.waits(1.0)

    def until(self, seq: int) -> list[int]:
        """Sequence numbers up to and with this one."""
        found: list[int] = []
        while not found or found[-1] < seq:
            found.append(self.line()["seq"])
        return found

    def notice(self) -> str:
        """The next line on standard error."""
        return self._err.next().decode()

    def stop(self) -> None:
        """SIGSTOP; it stands still when this returns."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def go_on(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        return self._process.wait(AMPLE_S)

    def rest(self) -> list[dict]:
        """The envelopes up to its end."""
        found: list[dict] = []
        while line := self._out.rest():
            found += [orjson.loads(one) for one in line.splitlines()]
        return found

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(AMPLE_S)


@contextmanager
def follow(home: Constellation, *arguments: str) -> Iterator[Follower]:
    with started("signal_tap", home.home, *arguments, "-o", "json") as process:
        yield Follower(process)
