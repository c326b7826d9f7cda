"""A child process in a group of its own: bounded in time, memory and output, killed whole at its end.

What leaves the group, such as a server that was put into the background, is killed too: `tied` sees to it.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from services.experiments.tied import CANNOT_EXECUTE

TIED = Path(__file__).with_name("tied.py")
MAX_OUTPUT = 64 * 1024
MAX_ERRORS = 2048
_CHUNK = 16 * 1024
GRACE_S = 5.0
"""What `tied` has to kill all that it started, before it is killed itself."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended. `status` is negative for a signal; `errors` is the end of what it said on standard error."""

    status: int
    output: bytes
    errors: str
    timed_out: bool = False
    overflowed: bool = False

    @property
    def started(self) -> bool:
        """Whether the program could be executed at all."""
        return self.status != CANNOT_EXECUTE or not self.errors.startswith("cannot execute ")


def tied(program: Sequence[str], memory_mib: int = 0, *, may_leave: bool = False) -> list[str]:
    """The command that runs `program` and ends, with all it started, when the thread that started it has ended.

    `may_leave`: what leaves its process group goes on. Start it with `start_new_session=True`.
    """
    ends = "group" if may_leave else "all"
    return [sys.executable, "-I", "-S", str(TIED), str(os.getpid()), str(memory_mib), ends, *program]


def kill_group(pid: int) -> None:
    """Kill what `tied` started, whole. The leader must not have been waited for, or its number may be another's."""
    with suppress(ProcessLookupError, PermissionError):  # gone already
        os.killpg(pid, signal.SIGKILL)


def _end(child: subprocess.Popen[bytes]) -> int:
    """End what `tied` started, whole, and what has left its group too; its status."""
    if child.returncode is None:
        os.kill(child.pid, signal.SIGTERM)  # it may have ended, but is not waited for yet
        ended = os.pidfd_open(child.pid)
        select.select([ended], [], [], GRACE_S)
        os.close(ended)
        kill_group(child.pid)
    return child.wait()


def run(
    program: Sequence[str],
    given: bytes,
    *,
    environ: Mapping[str, str],
    folder: Path,
    memory_mib: int,
    timeout_s: float,
    may_leave: bool = False,
) -> Ended:
    """Run to the end; nothing of it is left afterwards. `given` is its standard input, up to 64 KiB.

    `may_leave`: as in `tied`.
    """
    pipe = subprocess.PIPE
    child = subprocess.Popen(
        tied(program, memory_mib, may_leave=may_leave),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=dict(environ),
        cwd=folder,
        start_new_session=True,
    )
    with ExitStack() as stack:
        stack.callback(_end, child)
        return _Attended(child, stack).until_end(given, time.monotonic() + timeout_s)


@dataclass
class _Attended:
    """What a child says, until it has ended, says too much, or is out of time."""

    child: subprocess.Popen[bytes]
    stack: ExitStack
    output: bytearray = field(default_factory=bytearray)
    errors: bytearray = field(default_factory=bytearray)

    def until_end(self, given: bytes, deadline: float) -> Ended:
        assert self.child.stdin is not None
        with suppress(BrokenPipeError):  # it need not read them: they are in its environment too
            self.child.stdin.write(given)
            self.child.stdin.flush()
        with suppress(BrokenPipeError):
            self.child.stdin.close()
        timed_out = not self._attend(deadline)
        overflowed = len(self.output) > MAX_OUTPUT
        status = _end(self.child)
        said = bytes(self.errors[-MAX_ERRORS:]).decode("utf-8", "replace").strip()
        return Ended(status, bytes(self.output), said, timed_out and not overflowed, overflowed)

    def _attend(self, deadline: float) -> bool:
        """Whether it ended by itself."""
        waiting = self.stack.enter_context(selectors.DefaultSelector())
        ended = os.pidfd_open(self.child.pid)
        self.stack.callback(os.close, ended)
        waiting.register(ended, selectors.EVENT_READ)
        for pipe, kept in ((self.child.stdout, self.output), (self.child.stderr, self.errors)):
            assert pipe is not None
            self.stack.enter_context(pipe)
            os.set_blocking(pipe.fileno(), False)
            waiting.register(pipe, selectors.EVENT_READ, kept)
        while (left := deadline - time.monotonic()) > 0 and len(self.output) <= MAX_OUTPUT:
            ready = [key for key, _ in waiting.select(left)]
            for key in ready:
                if key.data is not None and self._take(key.fd, key.data) == b"":
                    waiting.unregister(key.fileobj)
            if any(key.fd == ended for key in ready):
                self._drain(deadline)
                return True
        return False

    def _take(self, handle: int, kept: bytearray) -> bytes | None:
        """Read what is there: nothing at the end, None when there is nothing yet."""
        try:
            chunk = os.read(handle, _CHUNK)
        except BlockingIOError:
            return None
        kept += chunk
        if kept is self.errors:
            del kept[:-MAX_ERRORS]
        return chunk

    def _drain(self, deadline: float) -> None:
        """Read what was said before the end. What has left the group and still holds the pipe is not waited for."""
        kill_group(self.child.pid)
        for pipe, kept in ((self.child.stdout, self.output), (self.child.stderr, self.errors)):
            assert pipe is not None
            while len(self.output) <= MAX_OUTPUT and time.monotonic() < deadline:
                if not self._take(pipe.fileno(), kept):
                    break
