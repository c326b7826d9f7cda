"""File descriptors, of which each connection takes one. libzmq 4.3 ends the process when it can open no more."""

from __future__ import annotations

import contextlib
import os
import resource
import time

WANTED = 1 << 20
SHORT_AT, ENOUGH_AT = 0.8, 0.7
LOOK_S = 1.0


class Descriptors:
    """Takes as many as the system allows, and says when they run short."""

    def __init__(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            with contextlib.suppress(PermissionError):  # a sandbox forbids it: what is given must do
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        self.short = False
        self.used = self.limit = 0
        self._next = 0.0

    def changed(self) -> bool:
        """Whether `short` has just begun or ended. Looks once a second."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + LOOK_S
        self.used, self.limit = len(os.listdir("/proc/self/fd")), resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        before, share = self.short, self.used / self.limit if self.limit > 0 else 0.0
        self.short = share >= (ENOUGH_AT if before else SHORT_AT)
        return self.short != before

    def words(self) -> str:
        """What a person is told while they are short."""
        return f"{self.used:,} of {self.limit:,} file descriptors are in use, one a connection." if self.short else ""
