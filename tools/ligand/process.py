"""One child process: started in a session of its own, its lines read, its end noticed by pidfd."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from tools.tied import tied

MAX_LINE = 64 * 1024
MAX_LEFT = 64  # pieces: a pipe holds no more than 1 MiB


class LinePipe:
    """Splits what arrives on a pipe into lines; a longer line than 64 KiB is cut into several."""

    def __init__(self, descriptor: int, on_line: Callable[[str], None]) -> None:
        self._descriptor = descriptor
        self._on_line = on_line
        self._held = b""
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _read(self) -> bool:
        """Take one piece; False when there is nothing more for now or for ever."""
        try:
            piece = os.read(self._descriptor, MAX_LINE)
        except BlockingIOError:
            return False
        if not piece:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            return False
        *lines, self._held = (self._held + piece).split(b"\n")
        if len(self._held) > MAX_LINE:
            lines, self._held = [*lines, self._held], b""
        for line in lines:
            self._on_line(line.decode(errors="backslashreplace"))
        return True

    def finish(self) -> None:
        """Take what is left and close; a grandchild that still holds the other end is not waited for."""
        for _ in range(MAX_LEFT):
            if not self._read():
                break
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        if self._held:
            self._on_line(self._held.decode(errors="backslashreplace"))


class Child:
    """A running program. `ended` resolves to the exit status (negative: killed by that signal).

    It is killed by the kernel when this process dies, and whatever it left behind in its process
    group is killed when it ends.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], on_line: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        try:
            self._popen = _start(argv, environment, writing)
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self.pid = self._popen.pid
        self.ended: asyncio.Future[int] = loop.create_future()
        self._pipe = LinePipe(reading, on_line)
        # not reaped yet, so the process id cannot mean another process
        self._pidfd = os.pidfd_open(self.pid)
        loop.add_reader(self._pidfd, self._on_end)

    def send(self, number: int) -> None:
        """Send a signal to the main process; nothing happens when it has ended."""
        if not self.ended.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def kill_group(self) -> None:
        """SIGKILL to the process and all that are still in its group."""
        if not self.ended.done():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self.kill_group()  # before it is reaped: until then its group id belongs to nobody else
        status = self._popen.wait()
        os.close(self._pidfd)
        self._pipe.finish()
        self.ended.set_result(status)


def _start(argv: Sequence[str], environment: Mapping[str, str], output: int) -> subprocess.Popen[bytes]:
    # the tie that the trampoline makes is to the thread that starts the child: here the main thread
    return subprocess.Popen(
        tied(argv),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=dict(environment),
        cwd="/",
        start_new_session=True,
    )
