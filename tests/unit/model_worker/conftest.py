"""A pool of model servers in this process, asked over real HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import openai  # noqa: F401 - loaded before any time is counted; it takes seconds on a busy machine
import pytest

from services.model_worker.answering import answer
from services.model_worker.pool import Pool
from services.model_worker.server import Server
from services.model_worker.settings import ServerSettings, Settings
from services.model_worker.spending import Purse
from tests.support.model_server import ModelServer, model_server
from tests.support.ports import held

SCHEMA = {
    "type": "object",
    "properties": {"modules": {"type": "array", "items": {"type": "string"}}},
    "required": ["modules"],
    "additionalProperties": False,
}
RIGHT = '{"modules": ["gaze_sensor"]}'
QUICK = {"rounds": 3, "backoff_s": 0.01, "connect_s": 60.0, "first_token_s": 60.0, "idle_s": 60.0, "failures": 3}
REQUEST = {"role": "primary", "prompt": "Why?", "deadline_s": 200, "stream": False, "purpose": "a test"}


@dataclass
class Asker:
    """Asks the servers of a configuration; keeps the pool between questions of one `run`."""

    settings: dict[str, Any] = field(default_factory=dict)
    key: str = "sk-secret"
    tokens: list[dict[str, Any]] = field(default_factory=list)
    spent: dict[int, int] = field(default_factory=dict)
    kept: list[dict[int, int]] = field(default_factory=list)

    def pool(self, *servers: ServerSettings) -> Pool:
        whole = Settings(role=self.settings.pop("role", "primary"), servers=servers, **{**QUICK, **self.settings})
        return Pool.of(whole, lambda _: self.key, self._purse)

    def _purse(self, server: ServerSettings) -> Purse:
        return Purse(server.tokens_per_day, self.spent, self._keep)

    async def _keep(self) -> None:
        self.kept.append(dict(self.spent))

    async def ask(self, pool: Pool, **facts: Any) -> tuple[str, dict[str, Any]]:
        return await answer(pool, "01935b0e-6a70-7cc3-98c4-dc0c0c07398f", {**REQUEST, **facts}, self._tell, None)

    def _tell(self, facts: Any) -> None:
        self.tokens.append(dict(facts))

    def once(self, *servers: ServerSettings, **facts: Any) -> tuple[str, dict[str, Any]]:
        """One question to fresh servers."""

        async def story() -> tuple[str, dict[str, Any]]:
            pool = self.pool(*servers)
            try:
                return await self.ask(pool, **facts)
            finally:
                await pool.close()

        return asyncio.run(story())


def its_time_is_over(server: Server) -> None:
    """The breaker has been open for long enough."""
    server.breaker._until = time.monotonic()


def at(server: ModelServer, **more: Any) -> ServerSettings:
    return ServerSettings(base_url=server.url, **{"slots": 4, **more})


@pytest.fixture
def asker() -> Callable[..., Asker]:
    return lambda **settings: Asker(settings)


@pytest.fixture
def first():
    with model_server() as server:
        yield server


@pytest.fixture
def second():
    with model_server() as server:
        server.usual = server.usual.__class__(pieces=("Second", "."))
        yield server


@pytest.fixture
def nowhere() -> Iterator[ServerSettings]:
    """A server that is not there."""
    with held() as port:
        yield ServerSettings(base_url=f"http://127.0.0.1:{port}/v1")
