"""One `ligand up` a home."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from signals import locking
from signals.errors import LigandError
from signals.paths import Paths

NAME = "up.lock"


class AlreadyRunningError(LigandError):
    """Another `ligand up` runs on this home."""

    code = "already_running"


class Lock:
    """An exclusive lock on a file that holds our process id. Raises `AlreadyRunningError`."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        try:
            self._file = locking.hold(paths, NAME)
        except locking.HeldError as error:
            holder = error.holder or "unknown"
            raise AlreadyRunningError(
                f"the constellation already runs here: process {holder} holds {paths.run / NAME}; "
                "stop it first (Ctrl-C there, or kill it), or use another --home",
                pid=holder,
            ) from error
        locking.write(self._file, str(os.getpid()))

    def release(self) -> None:
        """Give the lock back. The file stays, emptied, unless the runtime folder goes with all that we put there."""
        self._file.truncate(0)
        self._paths.leave_run(NAME, "units.json", ".units.json.new", "up.notify")
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
