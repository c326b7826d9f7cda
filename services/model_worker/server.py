"""One model server: whether it answers, what it offers, what it really does with a schema, and its places."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from services.model_worker.breaker import CLOSED, HALF_OPEN, Breaker
from services.model_worker.client import ModelClient, Piece
from services.model_worker.failures import NO_KEY, REFUSED, UNREACHABLE, Failure
from services.model_worker.gate import Gate
from services.model_worker.logic import CHARS_PER_TOKEN, least_tokens
from services.model_worker.settings import ServerSettings, Settings
from services.model_worker.spending import Purse

TRIAL_S = 30.0
LAST_RANK = 9
NOT_FOR_CHAT = ("embed", "rerank", "whisper", "tts", "bge-")


@dataclass(slots=True)
class Server:
    """One server as this process knows it. `trouble` is why it does not answer; `models` is None before a look."""

    settings: ServerSettings
    client: ModelClient
    breaker: Breaker
    gate: Gate
    purse: Purse
    answer_tokens: int
    models: tuple[str, ...] | None = None
    trouble: str | None = None
    not_before: float = 0.0
    shapes: dict[str, str] = field(default_factory=dict)
    last: str = ""

    @classmethod
    def of(cls, server: ServerSettings, settings: Settings, key: str | None, purse: Purse) -> Server:
        """A server that nobody has looked at yet."""
        return cls(
            settings=server,
            client=ModelClient(server, settings, key),
            breaker=Breaker(settings.failures, settings.open_s),
            gate=Gate(server.slots, yields=settings.yields),
            purse=purse,
            answer_tokens=settings.max_tokens,
        )

    @property
    def name(self) -> str:
        """Its address."""
        return self.settings.name

    @property
    def model(self) -> str:
        """The model to ask. Raises `Failure` when it offers none."""
        if self.settings.model != "auto":
            return self.settings.model
        for model in self.models or ():
            if not any(word in model.lower() for word in NOT_FOR_CHAT):
                return model
        raise Failure(REFUSED, "offers no model; load one there, or name one as `model`")

    async def chosen(self) -> str:
        """The model to ask, of a server that was perhaps never looked at. Raises `Failure`."""
        if self.models is None and self.settings.model == "auto":
            self.models = await self.client.models()
        return self.model

    async def look(self) -> None:
        """Ask for its models and remember what came of it."""
        was_away = self.trouble is not None
        try:
            self.models = await self.client.models()
        except Failure as failure:
            if failure.status in (None, 401, 403) or not 400 <= failure.status < 500:
                self.trouble = failure.detail
                return
            self.models = self.models or ()  # it is there, but does not list models: some gateways do not
        self.trouble = None
        if was_away:
            self.shapes.clear()  # another version may have come up
            self.breaker.succeeded()
        elif self.breaker.state(time.monotonic()) == HALF_OPEN:
            await self._try()

    async def _try(self) -> None:
        """It lists its models, but failed when asked: find out by one token whether it still does."""
        try:
            async with asyncio.timeout(TRIAL_S):
                await self.gate.run(LAST_RANK, self._one_token)
        except TimeoutError:
            self.last = f"no token came within {TRIAL_S:g} s"
        except Failure as failure:
            self.failed(failure)
        else:
            self.breaker.succeeded()

    async def _one_token(self) -> None:
        messages = [{"role": "user", "content": "Say hello."}]
        body = {"model": self.model, "messages": messages, self.settings.max_tokens_as: 1}
        async with aclosing(self.chat(body)) as pieces:
            async for _ in pieces:
                pass

    async def chat(self, body: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """The pieces of an answer as they come, within what the server may cost. Raises `Failure`."""
        question = least_tokens(body["messages"])
        reserved = question + body[self.settings.max_tokens_as]
        hour = await self.purse.reserve(reserved, time.time())
        took, chars, seen = question, 0, 0
        try:
            async with aclosing(self.client.chat(body)) as pieces:
                async for piece in pieces:
                    seen, chars = seen + 1, chars + len(piece.text)  # a thought is a piece without text, and costs
                    took = question + max(seen, chars // CHARS_PER_TOKEN)
                    if piece.prompt_tokens is not None and piece.completion_tokens is not None:
                        took = piece.prompt_tokens + piece.completion_tokens
                    yield piece
        except Failure as failure:
            if failure.status is not None or failure.kind is UNREACHABLE:
                took = 0  # it did not begin
            raise
        finally:
            self.purse.correct(hour, took - reserved)

    def why_not(self, now: float) -> str | None:
        """Why it is of no use just now; None when it is."""
        if self.trouble is not None:
            return self.trouble
        if self.breaker.state(now) != CLOSED:
            return f"left alone after failures: {self.last}"
        if (spent := self.purse.lacks(self.answer_tokens, time.time())) is not None:
            return spent
        try:
            _ = self.model
        except Failure as failure:
            return failure.detail
        return None

    def failed(self, failure: Failure) -> None:
        """Take a failure into account."""
        now = time.monotonic()
        failure.server = self.name
        self.last = failure.detail
        if failure.retry_after_s is not None:
            self.not_before = now + failure.retry_after_s
        if failure.kind.counts:
            self.breaker.failed(now, at_once=failure.kind is NO_KEY)
        else:
            self.breaker.gave_up()
