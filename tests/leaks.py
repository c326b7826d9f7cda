"""What the test process holds: processes, threads, file descriptors, as `/proc` tells it."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Every process that a test starts inherits this mark, so one is found even after its parent has gone.
MARK = "LIGAND_TEST_RUN"
KERNEL_THREAD = 0x00200000  # PF_KTHREAD of the kernel's include/linux/sched.h
# Processes that are none of ours, as long as they run: to look at each anew, twice a test, takes longer than most do.
_others: set[int] = set()


def mark_descendants() -> None:
    os.environ[MARK] = str(os.getpid())


@dataclass(frozen=True)
class Process:
    pid: int
    started: str  # clock ticks since boot: tells a process from a later one with the same number
    command: str


def _parent_and_start(pid: int) -> tuple[int, str]:
    """From `/proc/PID/stat`; the name in parentheses may hold spaces, so count from its end.

    Raises `PermissionError` for a thread of the kernel's.
    """
    after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if int(after[6]) & KERNEL_THREAD:
        raise PermissionError(pid)
    return int(after[1]), after[19]


def _is_ours(pid: int, parent: int) -> bool:
    if parent == os.getpid():
        return True
    mark = f"{MARK}={os.getpid()}".encode()
    return pid != os.getpid() and mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def processes() -> Iterator[Process]:
    """All children, waited for or not, and all that descend from them and still run."""
    there = {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    _others.intersection_update(there)
    for pid in there - _others:
        try:
            parent, started = _parent_and_start(pid)
            if not _is_ours(pid, parent):
                _others.add(pid)
                continue
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except PermissionError:  # another user's, or the kernel's
            _others.add(pid)
            continue
        except (FileNotFoundError, ProcessLookupError):
            continue  # gone meanwhile
        yield Process(pid, started, command.strip() or "ended, but nobody waited for it")


def descriptors() -> Iterator[tuple[int, str]]:
    """(number, what it refers to) of every open file descriptor."""
    for name in os.listdir("/proc/self/fd"):
        try:
            yield int(name), os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the one that listed the folder


def _kind(target: str) -> str:
    """`socket`, `pipe`, or the path: a connection made anew is not one more."""
    return target.split(":[", maxsplit=1)[0]


@dataclass(frozen=True)
class Snapshot:
    processes: frozenset[Process]
    threads: frozenset[threading.Thread]
    descriptors: frozenset[tuple[int, str]]

    @classmethod
    def take(cls) -> Snapshot:
        return cls(frozenset(processes()), frozenset(threading.enumerate()), frozenset(descriptors()))

    def _more_descriptors(self, now: Snapshot) -> list[str]:
        before, after = (Counter(_kind(target) for _, target in each.descriptors) for each in (self, now))
        grown = {kind for kind in after if after[kind] > before[kind]}
        new = sorted(now.descriptors - self.descriptors)
        return [f"file descriptor {fd}: {target}" for fd, target in new if _kind(target) in grown]

    def leaked(self, now: Snapshot) -> list[str]:
        """What is there `now` and was not then, one line each."""
        ran = [f"process {each.pid}: {each.command}" for each in now.processes - self.processes]
        span = [f"thread {each.name}" for each in now.threads - self.threads]
        return [*sorted(ran), *sorted(span), *self._more_descriptors(now)]

    def leaked_after(self, grace_s: float, clock: Callable[[], float] = time.monotonic) -> list[str]:
        """The same, once what is just ending has ended; `grace_s` at most when something stays."""
        deadline = clock() + grace_s
        found = self.leaked(Snapshot.take())
        while found and clock() < deadline:
            gc.collect()
            time.sleep(0.02)  # nothing announces that a descriptor was closed
            found = self.leaked(Snapshot.take())
        return found

    def end_processes(self) -> None:
        """Kill what was started since, so that the next test is not disturbed by it."""
        for each in frozenset(processes()) - self.processes:
            try:
                os.kill(each.pid, signal.SIGKILL)
                os.waitpid(each.pid, 0)
            except (ChildProcessError, ProcessLookupError):
                continue  # not our child to wait for, or gone


@contextlib.contextmanager
def nothing_left(grace_s: float = 20.0) -> Iterator[None]:
    """Raise AssertionError for what is begun meanwhile and there at the end; its processes are killed."""
    before = Snapshot.take()
    yield
    left = before.leaked_after(grace_s)
    before.end_processes()
    assert not left, "The test left behind:\n  " + "\n  ".join(left)
