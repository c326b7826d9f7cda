"""One `ligand up` a home."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from signals.errors import LigandError


class AlreadyRunningError(LigandError):
    """Another `ligand up` runs on this home."""

    code = "already_running"


class Lock:
    """An exclusive lock on a file that holds our process id. Raises `AlreadyRunningError`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+", encoding="ascii")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise AlreadyRunningError(
                f"the constellation already runs here: process {holder} holds {path}; "
                "stop it first (Ctrl-C there, or kill it), or use another --home",
                pid=holder,
            ) from error
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two hold it."""
        self._file.truncate(0)
        self._file.close()


def holder(path: Path) -> int | None:
    """The process that holds the lock; None when nobody does. Raises `LigandError` when that cannot be told."""
    try:
        file = path.open(encoding="ascii")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LigandError(f"Cannot read {path}: {error.strerror}. It may belong to another user.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            found = file.read().strip()
            return int(found) if found.isdecimal() else None
    return None
