"""Reading what a person may have replaced by a pipe, a device, a huge file; taking its place; and syncing."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


def read_regular(path: Path, limit: int) -> bytes:
    """A regular file's bytes, at most `limit` + 1 of them, so that the caller sees that there are more.

    Raises OSError as `open_regular` does.
    """
    with open_regular(path) as stream:
        return stream.read(limit + 1)


def open_regular(path: Path) -> BinaryIO:
    """A regular file, to be read; links are followed.

    Raises OSError: what cannot be opened, and what is no regular file; it never waits for a writer.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)  # of a folder no stream can be made that would close it
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a file", str(path))
    return os.fdopen(handle, "rb")


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, durable. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def dress(handle: int, like: Path) -> bool:
    """Give an open file the mode of another, and its owner, where that is allowed; whether there is the other.

    Raises OSError.
    """
    try:
        wanted = like.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(handle)
    if (wanted.st_uid, wanted.st_gid) != (mine.st_uid, mine.st_gid):
        with suppress(PermissionError):  # only root may give files away; the mode is kept either way
            os.fchown(handle, wanted.st_uid, wanted.st_gid)
    os.fchmod(handle, stat.S_IMODE(wanted.st_mode))
    return True
