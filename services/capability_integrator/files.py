"""Replacing the registry's file so that neither a crash nor a person's edit in between loses anything."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from signals.files import dress, read_regular, sync

ATTEMPTS = 5
MAX_BYTES = 16 * 1024 * 1024
_NO_LINKS = (errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV)


class Busy(Exception):
    """The registry kept changing while it was written."""


def read(path: Path) -> bytes | None:
    """The file's bytes; None when there is none. Raises OSError."""
    try:
        return read_regular(path, MAX_BYTES)
    except FileNotFoundError:
        return None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second process of this daemon from writing at the same time."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def update(path: Path, change: Callable[[bytes | None], bytes | None], keep: int) -> bytes:
    """Write what `change` makes of the file's bytes; returns the bytes that stand there at the end.

    `change` returning None leaves the file alone. When the file changes in between, `change` is asked again
    with the new bytes. Raises `Busy` after 5 attempts, OSError, and what `change` raises.
    """
    for _ in range(ATTEMPTS):
        before = read(path)
        after = change(before)
        if after is None:
            return before or b""
        if _replace(path, before, after, keep) and read(path) == after:
            return after
    raise Busy(f"{path} changed {ATTEMPTS} times while it was being written")


def _replace(path: Path, before: bytes | None, after: bytes, keep: int) -> bool:
    """Whether `after` took the place of `before`; False when somebody else's bytes were there."""
    fresh = _written(path, after)
    try:
        if before is None:
            return _settle_new(fresh, path)
        backup = _back_up(path, before)
        if backup is None or not _is_unchanged(path, backup, before):
            return False
        os.rename(fresh, path)
        sync(path.parent)
    finally:
        fresh.unlink(missing_ok=True)
    if backup.read_bytes() != before:
        # Somebody wrote into the old file after it was compared: their bytes go back, and it starts anew.
        os.replace(_written(path, backup.read_bytes()), path)
        return False
    _prune(path, keep)
    return True


def _settle_new(fresh: Path, path: Path) -> bool:
    try:
        os.link(fresh, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without hard links: the rename is still whole, but could replace a file made just now.
        if path.exists():
            return False
        os.rename(fresh, path)
    sync(path.parent)
    return True


def _written(path: Path, data: bytes, ending: str = "new") -> Path:
    """A new file beside `path`, on disk, with the mode (and owner, where allowed) of the present one.

    It takes the place of one that a crashed attempt left.
    """
    fresh = path.with_name(f".{path.name}.{ending}")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    with os.fdopen(handle, "wb") as stream:
        dress(handle, path)
        stream.write(data)
        stream.flush()
        os.fsync(handle)
    return fresh


def _back_up(path: Path, before: bytes) -> Path | None:
    """Keep the present file itself under the next number, so that even a late write into it is kept.

    The newest backup is used again when a crash came after it was made. None when the file is gone.
    """
    numbers = backups(path)
    newest = _numbered(path, numbers[-1]) if numbers else None
    if newest is not None and newest.exists() and path.exists() and os.path.samefile(newest, path):
        return newest
    backup = _numbered(path, numbers[-1] + 1 if numbers else 1)
    try:
        os.link(path, backup)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.rename(_written(path, before, "bak"), backup)
    return backup


def _is_unchanged(path: Path, backup: Path, before: bytes) -> bool:
    """Compare at the last moment; a backup of bytes that nobody asked to keep is taken away again."""
    if backup.read_bytes() == before and read(path) == before:
        return True
    backup.unlink()
    return False


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.bak.{number}")


def backups(path: Path) -> list[int]:
    """The numbers of the backups there are, oldest first."""
    named = re.compile(re.escape(path.name) + r"\.bak\.([1-9][0-9]{0,8})")
    hits = (named.fullmatch(name) for name in os.listdir(path.parent))
    return sorted(int(hit[1]) for hit in hits if hit)


def _prune(path: Path, keep: int) -> None:
    for number in backups(path)[: -keep or None]:
        _numbered(path, number).unlink(missing_ok=True)
