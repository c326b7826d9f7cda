"""One instance at work: its servers, looked at from time to time, and the requests it answers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from services.model_worker import spending
from services.model_worker.answering import answer
from services.model_worker.pool import Edge, Pool
from services.model_worker.presence import Deference, Presence
from services.model_worker.settings import ServerSettings, Settings
from services.model_worker.spending import Purse
from services.runtime import Daemon
from signals.envelope import Signal
from signals.errors import PressureError

MODELS = 64
STATUS_CHARS = 400
SPENT = "spent"
"""In the state, beside the addresses of servers: what they have cost."""


class Worker:
    """What the handlers of `daemon` do."""

    def __init__(self, daemon: Daemon, role: str) -> None:
        self._daemon = daemon
        self._role = role
        self._pools: list[Pool] = []
        self._spent: dict[str, dict[int, int]] = {}
        self._looking = asyncio.Lock()
        self._presence = Presence(self._tell_presence)
        self._deference = Deference(self._person_has)

    @property
    def pool(self) -> Pool:
        """The servers as the configuration lists them now."""
        return self._pools[-1]

    # -- servers -------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take the configuration as it now is. Raises `ConfigError` for a credential that is not there."""
        self._spent = self._spent or spending.read(self._daemon.state.get(SPENT, {}))
        fresh = Pool.of(Settings.of(self._role, self._daemon.config), self._daemon.credential, self._purse)
        if self._pools:
            self.pool.look_soon()  # whoever waits for them goes on with the new ones
        self._pools.append(fresh)
        try:
            await self.look()
        except PressureError as error:
            self._daemon.log.warning("not_told", error=error.message)

    def _purse(self, server: ServerSettings) -> Purse:
        return Purse(server.tokens_per_day, self._spent.setdefault(server.name, {}), self._keep_spent)

    async def _keep_spent(self) -> None:
        async with self._daemon.batch({SPENT: spending.written(self._spent)}):
            pass

    async def watch(self) -> None:
        """Look at the servers when it is time, or when one of them gave reason to."""
        await self.pool.wait()
        await self.look()

    async def look(self) -> None:
        """Look at the servers and tell what changed, once."""
        async with self._looking:
            await self.pool.look()
            wall = time.time()
            for edge in list(self.pool.edges(self._daemon.state, wall)):
                await self._tell_edge(edge, wall)
            for server in self._daemon.state.keys() - {SPENT} - {one.name for one in self.pool.servers}:
                await self._tell_removed(server)
        self._say_status()
        for pool in [pool for pool in self._pools[:-1] if pool.is_idle]:
            self._pools.remove(pool)
            await pool.close()

    async def _tell_edge(self, edge: Edge, wall: float) -> None:
        server = edge.server.name
        facts: dict[str, Any] = {"role": self._role, "server": server}
        if edge.reason is None:
            facts["models"] = list(edge.server.models or ())[:MODELS]
            facts |= {} if edge.lasted_s is None else {"lasted_s": edge.lasted_s}
        else:
            facts |= {"reason": edge.reason[:512], "hint": f"Start it, or mend {self._daemon.name}.yaml."}
        name = "Q_MODEL_AVAILABLE" if edge.reason is None else "Q_MODEL_UNAVAILABLE"
        async with self._daemon.batch({server: {"up": edge.reason is None, "since": wall}}) as emit:
            emit(name, facts, taint=["model"])  # a reason may quote what the server said
        self._daemon.log.info("server_changed", server=server, available=edge.reason is None)

    async def _tell_removed(self, server: str) -> None:
        """A server that was told of is listed no more: whoever remembers it as away, or as there, may forget it."""
        reason = f"It is not listed in {self._daemon.name}.yaml any more."
        async with self._daemon.batch({server: None}) as emit:
            emit("Q_MODEL_UNAVAILABLE", {"role": self._role, "server": server, "reason": reason, "removed": True})
        self._daemon.log.info("server_removed", server=server)

    def _say_status(self) -> None:
        count, all_of_them = self.pool.answering, len(self.pool.servers)
        words = f"{count} of {all_of_them} model servers answer"
        if not count:
            now = time.monotonic()
            why = "; ".join(f"{one.name}: {one.why_not(now)}" for one in self.pool.servers)
            words = f"no model server answers: {why or 'none is listed'}"[:STATUS_CHARS]
        self._daemon.status(words, degraded=not count)

    async def close(self) -> None:
        """Close all connections."""
        for pool in self._pools:
            await pool.close()

    # -- requests ------------------------------------------------------------------------------------

    async def answer(self, signal: Signal, emit: Any) -> None:
        """Answer one request by one signal."""
        presence = None if self.pool.settings.yields else self._presence
        name, facts = await answer(self.pool, signal.id, signal.facts, self._tell_token, presence)
        emit(name, facts, taint=["model"])
        told = {key: facts[key] for key in ("reason", "model", "server", "latency_s", "attempts") if key in facts}
        self._daemon.log.info("answered", outcome=name, **told)

    def _tell_token(self, facts: Any) -> None:
        self._daemon.emit_live("Q_MODEL_TOKEN", facts)

    # -- the person first ----------------------------------------------------------------------------

    def _tell_presence(self, server: str, in_use: int, lease_s: float) -> None:
        facts = {"role": self._role, "server": server, "in_use": in_use, "lease_s": lease_s}
        self._daemon.emit_live("Q_MODEL_BUSY", facts)

    async def renew(self) -> None:
        """Say again where the person's requests are."""
        self._presence.renew()

    def heard(self, signal: Signal) -> None:
        """The person's worker uses a server, or does so no more."""
        if signal.facts["role"] != self._role:
            self._deference.heard(signal.facts)

    def _person_has(self, name: str, in_use: int) -> None:
        for pool in self._pools:
            for server in pool.of_name(name):
                server.gate.person_has(in_use if pool.settings.yields else 0)
