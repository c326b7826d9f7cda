"""Run a program within limits and never longer than the process that started this one; nothing of it outlives it.

Run as a plain file by a bare interpreter: `python -I -S tied.py PARENT_PID MEBIBYTES all|group PROGRAM ARGUMENT…`, as
the leader of a process group of its own. When the parent has died, however, the kernel says so (prctl(2),
PR_SET_PDEATHSIG) and the group is killed; with `all` also what has left it, which comes here when its own parent ends
(PR_SET_CHILD_SUBREAPER). SIGTERM does the same. It ends as the program ends: by the same status, or the same signal.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CANNOT_EXECUTE = 203
"""The exit status when the program cannot be executed, as systemd has it."""


def main(parent: int, mebibytes: int, ends: str, program: list[str]) -> NoReturn:
    """Become its keeper. `mebibytes` bounds the memory that each process may write to; 0 is no bound."""
    signal.signal(signal.SIGTERM, _end)
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((PR_SET_CHILD_SUBREAPER, int(ends == "all")), (PR_SET_PDEATHSIG, signal.SIGTERM)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            sys.exit(f"cannot tie {program[0]} to its parent: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit(CANNOT_EXECUTE)  # the parent died before the tie was made
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    child = os.fork()
    if child == 0:
        _execute(mebibytes, program)
    status = _reap_until(child)
    _kill_children()
    _end_as(status)


def _reap_until(child: int) -> int:
    """The child's status; others that end before it, whose parents have ended, are let go of."""
    while True:
        pid, status = os.wait()
        if pid == child:
            return status


def _end(*_: object) -> None:
    _kill_children()
    os.killpg(0, signal.SIGKILL)


def _kill_children() -> None:
    """Kill until there are none: with each that ends, its own children come here."""
    while True:
        try:
            for pid in _children():
                os.kill(pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
            os.wait()
        except (ChildProcessError, FileNotFoundError):  # none is left; or a kernel that does not list them
            return


def _children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as found:
        return [int(pid) for pid in found.read().split()]


def _execute(mebibytes: int, program: list[str]) -> NoReturn:
    # Python ignores two of these, and an ignored signal stays ignored through exec
    for number in (signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        if mebibytes:
            resource.setrlimit(resource.RLIMIT_DATA, (mebibytes << 20, mebibytes << 20))
        os.execvp(program[0], program)
    except (OSError, ValueError) as error:
        os.write(2, f"cannot execute {program[0]}: {error}\n".encode("utf-8", "backslashreplace"))
    os._exit(CANNOT_EXECUTE)


def _end_as(status: int) -> NoReturn:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
