"""The person's requests, told to background work on the same server: live, renewed while they last.

A worker that dies says nothing any more: what it had told ends by itself with its lease.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

RENEW_S = 2.0
LEASE_S = 6.0


class Presence:
    """Says where the person's requests are: `tell(server, in_use, lease_s)`."""

    def __init__(self, tell: Callable[[str, int, float], None]) -> None:
        self._tell = tell
        self._in_use: Counter[str] = Counter()

    @contextmanager
    def at(self, server: str) -> Iterator[None]:
        """A request is at a server, or waits for it."""
        self._in_use[server] += 1
        self._say(server)
        try:
            yield
        finally:
            self._in_use[server] -= 1
            self._say(server)

    def renew(self) -> None:
        """Say again what still holds."""
        for server in [name for name, count in self._in_use.items() if count]:
            self._say(server)

    def _say(self, server: str) -> None:
        self._tell(server, self._in_use[server], LEASE_S)


class Deference:
    """Remembers what was told, each for its lease; `changed(server, in_use)` hears it."""

    def __init__(self, changed: Callable[[str, int], None]) -> None:
        self._changed = changed
        self._ends: dict[str, asyncio.TimerHandle] = {}

    def heard(self, facts: dict[str, Any]) -> None:
        """The person's worker has told."""
        server, in_use = facts["server"], facts["in_use"]
        if (end := self._ends.pop(server, None)) is not None:
            end.cancel()
        if in_use:
            loop = asyncio.get_running_loop()
            self._ends[server] = loop.call_later(facts["lease_s"], self._expired, server)
        self._changed(server, in_use)

    def _expired(self, server: str) -> None:
        del self._ends[server]
        self._changed(server, 0)
