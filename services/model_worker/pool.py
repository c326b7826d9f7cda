"""All servers of one instance, in order of preference, and the edges between answering and not answering."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.model_worker.server import Server
from services.model_worker.settings import ServerSettings, Settings
from services.model_worker.spending import Purse
from signals.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Edge:
    """A server began or ceased to answer. `lasted_s` is how long it had not."""

    server: Server
    reason: str | None
    lasted_s: float | None = None


def _sendable(name: str, key: str) -> str:
    """The key, if a header of HTTP can carry it: who tried to send another would fail with words that quote it."""
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"The credential {name} is no key: it must be one line of plain ASCII characters.")
    return key


@dataclass(slots=True)
class Pool:
    """The servers, and when to look at them again."""

    settings: Settings
    servers: tuple[Server, ...]
    wanted: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, settings: Settings, key_of: Callable[[str], str], purse_of: Callable[[ServerSettings], Purse]) -> Pool:
        """The servers of a configuration. Raises `ConfigError` for a credential that is not there, or is no key."""
        keys = {name: _sendable(name, key_of(name)) for one in settings.servers if (name := one.credential)}
        made = (Server.of(one, settings, keys.get(one.credential or ""), purse_of(one)) for one in settings.servers)
        return cls(settings, tuple(made))

    def of_name(self, name: str) -> Iterator[Server]:
        """The servers at an address."""
        return (server for server in self.servers if server.name == name)

    def in_order(self) -> list[Server]:
        """By preference; those known to be away last, since they may have come back."""
        return sorted(self.servers, key=lambda server: server.trouble is not None)

    def look_soon(self) -> None:
        """There is a reason to look at the servers before it is time."""
        self.wanted.set()

    async def wait(self) -> None:
        """Until it is time to look at the servers."""
        try:
            async with asyncio.timeout(self.settings.probe_s):
                await self.wanted.wait()
        except TimeoutError:
            return

    async def look(self) -> None:
        """Look at all servers at once."""
        self.wanted.clear()
        await asyncio.gather(*(server.look() for server in self.servers))

    def edges(self, known: Mapping[str, Any], wall: float) -> Iterator[Edge]:
        """What changed since it was last told. `known`: name -> {"up": bool, "since": unix seconds}.

        Of several entries with one address the one that answers counts: they are one server to everybody else.
        """
        now = time.monotonic()
        found: dict[str, Server] = {}
        for server in sorted(self.servers, key=lambda one: one.why_not(now) is not None):
            found.setdefault(server.name, server)
        for server in found.values():
            before, why = known.get(server.name), server.why_not(now)
            if before is not None and before["up"] == (why is None):
                continue
            away = before is not None and not before["up"]
            yield Edge(server, why, max(0.0, round(wall - before["since"], 3)) if before and away else None)

    @property
    def answering(self) -> int:
        """How many servers answer."""
        now = time.monotonic()
        return sum(server.why_not(now) is None for server in self.servers)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked of any of them."""
        return all(server.gate.is_idle for server in self.servers)

    async def close(self) -> None:
        """Close all connections."""
        for server in self.servers:
            await server.client.close()
