"""The machine: Python, SQLite, the clock, limits of the kernel, devices."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import apsw
import inotify_simple

from services.runtime import extras
from tools.ligand.checks.finding import Finding, mend, note, ok

OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE = (3, 50)
LEAST_FILES = 1024
LEAST_INSTANCES = 64
LEAST_WATCHES = 8192
NOT_BEFORE = 1_735_689_600  # 2025-01-01: earlier than that, the clock was never set
INOTIFY = Path("/proc/sys/fs/inotify")
DEVICES = (("microphone", Path("/dev/snd"), "pcm*c", "audio"), ("camera", Path("/dev"), "video*", "video"))


def findings() -> Iterator[Finding]:
    """Everything about the machine."""
    yield python()
    yield packages()
    yield sqlite()
    yield clock()
    yield from inotify()
    yield open_files()
    yield from senses()
    for name, folder, pattern, group in DEVICES:
        yield device(name, folder, pattern, group)


def python(running: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Whether this Python is new enough."""
    text = ".".join(map(str, running))
    if running < OLDEST_PYTHON:
        return mend("python", f"{text} is too old", "Install Python 3.11 or newer, then `make setup PYTHON=…`.")
    return ok("python", f"{text} at {sys.executable}")


def packages() -> Finding:
    """Whether what Ligand needs is installed."""
    try:
        needed = [one for one in requires("ligand") or [] if "extra ==" not in one]  # those a daemon can do without
    except PackageNotFoundError:
        return note("packages", "Ligand runs from its source tree, not installed", "`make setup` installs it.")
    missing = [name for name in map(_plain, needed) if not _is_installed(name)]
    if missing:
        return mend("packages", f"missing: {', '.join(missing)}", "`make setup`, or reinstall Ligand.")
    return ok("packages", f"all {len(needed)} are installed")


def _plain(requirement: str) -> str:
    cut = min((requirement.index(mark) for mark in "<>=!~[; " if mark in requirement), default=len(requirement))
    return requirement[:cut]


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def sqlite(text: str | None = None) -> Finding:
    """Whether SQLite is one that the journal was tried with."""
    text = text or apsw.sqlite_lib_version()
    if tuple(map(int, text.split(".")[:2])) < OLDEST_SQLITE:
        return mend("sqlite", f"{text} is too old for the journal", "Install the locked `apsw`: `make setup`.")
    return ok("sqlite", text)


class _Timex(ctypes.Structure):
    _fields_ = (("modes", ctypes.c_uint), ("rest", ctypes.c_byte * 512), ("room", ctypes.c_long))


def clock(now: float | None = None) -> Finding:
    """Whether the clock is set, and kept right by somebody."""
    now = time.time() if now is None else now
    if now < NOT_BEFORE:
        return mend("clock", f"it is {time.ctime(now)}, which is in the past", "Set it: `timedatectl set-ntp true`.")
    if Path("/run/systemd/timesync/synchronized").exists() or _is_synchronised():
        return ok("clock", "set, and kept right")
    return note(
        "clock",
        "nobody keeps it right",
        "`timedatectl set-ntp true`: deadlines use another clock, but stamps and retention use this one.",
    )


def _is_synchronised() -> bool:
    """adjtimex(2): TIME_ERROR is what it returns for a clock that is not synchronised."""
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.adjtimex(ctypes.byref(_Timex())) not in (-1, 5)


def inotify() -> Iterator[Finding]:
    """Whether the kernel lets us watch folders."""
    try:
        with inotify_simple.INotify() as watching:
            watching.add_watch("/", inotify_simple.flags.CREATE)
    except OSError as error:
        yield mend("inotify", f"cannot watch a folder: {error.strerror}", _raise("max_user_instances", 1024))
        return
    for name, least in (("max_user_instances", LEAST_INSTANCES), ("max_user_watches", LEAST_WATCHES)):
        limit = int((INOTIFY / name).read_text())
        if limit < least:
            yield note("inotify", f"{name} is {limit}", _raise(name, least * 8))
        else:
            yield ok("inotify", f"{name} is {limit}")


def _raise(name: str, value: int) -> str:
    return f"As root: echo fs.inotify.{name}={value} > /etc/sysctl.d/60-ligand.conf; sysctl --system"


def open_files() -> Finding:
    """Whether a process may have enough open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < LEAST_FILES:
        return note("open files", f"at most {soft}", "Raise it with `ulimit -n 4096` before `ligand up`.")
    return ok("open files", "no limit" if soft == resource.RLIM_INFINITY else f"at most {soft}")


def senses() -> Iterator[Finding]:
    """Whether what the sensors need beyond the base is installed; they can do without."""
    for name in extras.NAMES:
        missing = extras.lacking(name)
        if missing is None:
            yield ok(name, "installed")
        else:
            yield note(name, missing.reason, f"If you want it: {missing.hint}.")


def device(name: str, folder: Path, pattern: str, group: str) -> Finding:
    """Whether a microphone or camera is there and ours to use; a daemon that wants one says so itself."""
    found = sorted(folder.glob(pattern)) if folder.is_dir() else []
    if not found:
        return note(
            name, "there is none", "Nothing to do, unless a daemon is to use one: it stays degraded until then."
        )
    if not any(os.access(path, os.R_OK | os.W_OK) for path in found):
        return note(name, f"{found[0]} is not ours to use", f"usermod --append --groups {group} USER, and log in anew.")
    return ok(name, ", ".join(map(str, found[:4])))


def host() -> str:
    """The machine in a line."""
    return f"{platform.node()}, Linux {platform.release()}, {os.cpu_count()} processors"
