"""The folder of a daemon's own files: somebody may take it away while the daemon runs."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from services.runtime.turn import Unavailable

AGAIN_S = 2.0
MODE = 0o750


class Folder:
    """Looked at before each piece of work: made anew where it is gone, and where it cannot be, the work is held.

    A daemon that never uses it is not kept from its work.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_used = False
        self.trouble = ""
        """Why nothing can be kept there; empty when it can."""
        self.losses = 0
        """How often it was found to be unusable, each time anew."""

    def make(self) -> None:
        """Make it. Raises OSError."""
        self.path.mkdir(mode=MODE, parents=True, exist_ok=True)

    def look(self) -> str:
        """Make it anew where it is gone; why it cannot be used, empty when it can."""
        if not self.is_used:
            return ""
        try:
            _check(self.path)
        except OSError as first:
            self.losses += not self.trouble
            self.trouble = self._mended(first)
        else:
            self.trouble = ""
        return self.trouble

    def need(self) -> int:
        """How often it was lost up to now. Raises `Unavailable` while it cannot be used."""
        if words := self.look():
            raise Unavailable(words, retry_in=AGAIN_S)
        return self.losses

    def lost_since(self, losses: int) -> str:
        """Why work that began when there had been so many losses had no folder; empty when it had one throughout."""
        self.look()
        if self.losses == losses:
            return ""
        return self.trouble or f"{self.path} was gone; it is there again."

    def _mended(self, first: OSError) -> str:
        try:
            if first.errno == errno.ENOENT:
                self.make()
            _check(self.path)
        except OSError as error:
            return (
                f"{self.path} cannot be used ({error.strerror}): make it again, or restart this daemon; its work waits"
            )
        return ""


def _check(path: Path) -> None:
    found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if not found.st_nlink:  # removed beneath the mount through which a unit sees it
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "not to be written", str(path))
