"""Ligand's own folders: addresses, permissions, the disk, the lock, the configuration, the journal."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from services.runtime import restoring
from signals.errors import LigandError
from signals.journal import Journal
from signals.paths import SOCKET_PATH_MAX, Paths
from tools.cli import Failure, bus_listens
from tools.ligand import configuring
from tools.ligand.backup import check_integrity
from tools.ligand.checks.finding import Finding, mend, note, ok
from tools.text import clean, shorten

NETWORK = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs", "afs"}
SYNCS = 12
SLOW_SYNC_S = 0.02
QUICK_BYTES = 256 << 20
FINISH = (
    "`ligand up`, or `systemctl start ligand-bus`: the bus finishes it at its start. So does `ligand journal restore`."
)


def findings(paths: Paths) -> Iterator[Finding]:
    """Everything about the folders."""
    yield addresses(paths)
    yield from permissions(paths)
    yield from disk(paths)
    yield sync_time(paths)
    yield lock(paths)
    yield from configuration(paths)
    yield from journal(paths)


def closed(check: str, error: PermissionError) -> Finding:
    """What may not be looked at, and who may."""
    todo = "Ask as the user whom Ligand runs as, or as root."
    return mend(check, f"{clean(error.filename)}: {error.strerror}; the rest cannot be told", todo)


def addresses(paths: Paths) -> Finding:
    """Whether the sockets' paths fit into an address."""
    longest = max(len(os.fsencode(path)) for path in (paths.bus_socket, paths.mirror_socket))
    if longest > SOCKET_PATH_MAX:
        return mend(
            "addresses", f"{paths.bus_socket} has {longest} of {SOCKET_PATH_MAX} bytes", "Choose a shorter --home."
        )
    moved = paths.home is not None and paths.run != paths.home / "run"
    why = " (the home's own path would be too long)" if moved else ""
    return ok("addresses", f"{paths.bus_socket}{why}")


def permissions(paths: Paths) -> Iterator[Finding]:
    """Whether each folder is there, and nobody else's to write."""
    for folder in (paths.config, paths.state, paths.run, paths.intents):
        yield _folder(folder, is_ours=paths.home is not None)


def _folder(folder: Path, *, is_ours: bool) -> Finding:
    try:
        found = folder.stat()
    except FileNotFoundError:
        return note("permissions", f"{folder} is not there yet", "`ligand up` makes it.")
    except OSError as error:
        return mend("permissions", f"{folder}: {error.strerror}", "Ask for membership in the group ligand-users.")
    if not stat.S_ISDIR(found.st_mode):
        return mend("permissions", f"{folder} is not a folder", "Move it away, or choose another --home.")
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        return mend("permissions", f"everybody may write into {folder}", f"chmod o-w {folder}")
    if is_ours and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return mend("permissions", f"{folder} is not ours to use", f"chown -R $USER {folder}, as root.")
    return ok("permissions", str(folder))


def disk(paths: Paths) -> Iterator[Finding]:
    """Whether there is room for the journal's budget, on a disk of this machine."""
    place = _existing(paths.journal.parent)
    free, budget = shutil.disk_usage(place).free, _budget(paths)
    left = max(0, budget - _size(paths.journal))
    if free < min(left, 64 << 20):
        yield mend("disk", f"{free / 1e6:.0f} MB are free at {place}", "Make room: a full disk stops the bus.")
    elif free < left:
        yield note(
            "disk",
            f"{free / 1e9:.1f} GB are free at {place}, less than the journal may still grow ({left / 1e9:.1f} GB)",
            "Make room, or lower retention.bytes in bus.yaml.",
        )
    else:
        yield ok("disk", f"{free / 1e9:.1f} GB are free at {place}")
    for what, folder in (("journal", place), ("drop folder", _existing(paths.intents))):
        kind = file_system(folder)
        if kind in NETWORK:
            yield mend("disk", f"the {what} lies on {kind}, a network file system", "Put the home on a local disk.")


def _budget(paths: Paths) -> int:
    try:
        return int(configuring.effective(paths, "bus")[0]["retention"]["bytes"])
    except LigandError:
        return 0  # told under "configuration"


def _size(path: Path) -> int:
    return path.stat().st_size if os.path.exists(path) else 0


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if os.path.isdir(path))


def file_system(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The kind of file system that a folder lies on, as the kernel names it; empty when nobody says."""
    best, kind = "", ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, place, found, *_ = line.split(" ")
        place = place.encode().decode("unicode_escape")
        if folder.is_relative_to(place) and len(place) >= len(best):
            best, kind = place, found
    return kind


def sync_time(paths: Paths) -> Finding:
    """How long the disk takes to make a write durable: what bounds a consumer that handles one signal at a time."""
    place = _existing(paths.journal.parent)
    try:
        times = _sync_times(place)
    except OSError as error:
        return note("disk sync", f"cannot be measured at {place}: {error.strerror}", "Run the doctor as root.")
    middle = statistics.median(times)
    rate = 1 / max(middle, 1e-6)
    found = f"{middle * 1000:.1f} ms (slowest of {len(times)}: {max(times) * 1000:.1f} ms)"
    if middle > SLOW_SYNC_S:
        todo = f"At one signal in flight a daemon handles about {rate:.0f} a second; a faster disk, or in_flight: 8."
        return note("disk sync", found, todo)
    return ok("disk sync", f"{found}: about {rate:.0f} signals a second at one in flight")


def _sync_times(place: Path) -> list[float]:
    times = []
    with tempfile.TemporaryFile(dir=place) as file:
        for _ in range(SYNCS):
            file.write(os.urandom(4096))
            file.flush()
            begun = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begun)
    return times


def lock(paths: Paths) -> Finding:
    """Whether the one who holds the bus's address is the one who answers there."""
    path = paths.run / "bus.lock"
    holder = _lock_holder(path)
    try:
        listens = bus_listens(paths)
    except Failure as error:
        todo = "Ask as that user." if paths.home else "usermod --append --groups ligand-users USER, and log in anew."
        return mend("lock", error.message, todo)
    if holder is None and listens:
        return mend("lock", f"somebody answers at {paths.bus_socket} without holding {path}", "End that process.")
    if holder is None:
        return ok("lock", "free: no bus runs here")
    if not listens:
        todo = "It starts or hangs; see its log. If it stays so, end that process."
        return mend("lock", f"{holder} holds {path}, but nobody answers", todo)
    return ok("lock", f"held by the bus ({holder})")


def _lock_holder(path: Path) -> str | None:
    try:
        file = path.open()
    except OSError:
        return None  # no bus has run here, or it is not ours to see; the folder's permissions tell
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return clean(file.read().strip()) or "another process"
    return None


def configuration(paths: Paths) -> Iterator[Finding]:
    """What `ligand config check` finds."""
    problems = configuring.check(paths)
    for problem in problems:
        kind = mend if problem.is_error else note
        yield kind("configuration", clean(problem.message), f"Mend {problem.file}, then `ligand config check`.")
    if not problems:
        yield ok("configuration", str(paths.config))


def restore_interrupted(paths: Paths) -> Finding | None:
    """Whether a `ligand journal restore` was killed after it had begun to change anything."""
    try:
        kept = restoring.pending(paths.journal.parent)
    except LigandError as error:
        return mend("journal", clean(error.message), "Then `ligand doctor` once more.")
    if kept is None:
        return None
    return mend("journal", f"a restore was interrupted; the journal from before is kept in {kept}", FINISH)


def journal(paths: Paths) -> Iterator[Finding]:
    """Whether the journal is whole, of this version, and free of what waits for a person."""
    try:
        there = paths.journal.exists()
    except PermissionError as error:
        yield closed("journal", error)
        return
    if (interrupted := restore_interrupted(paths)) is not None:
        yield interrupted
        return
    if not there:
        yield note("journal", f"there is none at {paths.journal} yet", "`ligand up` makes it.")
        return
    large = paths.journal.stat().st_size > QUICK_BYTES
    try:
        check_integrity(paths.journal, quick=large)
        with Journal(paths.journal) as kept:
            head, first = kept.head(), kept.first()
            dead = sum(1 for _ in kept.dead())
    except LigandError as error:
        todo = "Stop Ligand, then `ligand journal salvage`, or `ligand journal restore FOLDER` where there is a backup."
        yield mend("journal", shorten(clean(error.message), 300), todo)
        return
    yield ok("journal", f"{'quickly checked' if large else 'whole'}, #{first} to #{head}")
    if dead:
        yield note("dead letters", f"{dead} wait", "`signal-tap dead list`; once mended, `signal-tap dead replay`.")
