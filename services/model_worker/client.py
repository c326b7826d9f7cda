"""The HTTP side of one server, by the `openai` package; imported at first use, since it takes 30 MB."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from services.model_worker.bounding import bound
from services.model_worker.failures import (
    BROKEN,
    CUT,
    STALLED,
    UNREACHABLE,
    Failure,
    in_stream,
    innermost,
    of_connection,
    of_status,
    said,
    without,
)
from services.model_worker.output import writable
from services.model_worker.settings import ServerSettings, Settings

if TYPE_CHECKING:
    import openai

NO_MODEL_SERVER = "something answers there, but not as a model server does; does base_url end as it should, in /v1?"
MAX_COUNT = 1_000_000_000
"""Tokens; a server that says more does not count."""
QUIET = ("openai", "httpx2", "httpcore2")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer; what the server did not say is None."""

    text: str = ""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class ModelClient:
    """Speaks to one server. Every error is a `Failure`."""

    def __init__(self, server: ServerSettings, settings: Settings, key: str | None) -> None:
        self._server = server
        self._settings = settings
        self._key = key
        self._made: openai.AsyncOpenAI | None = None

    async def _client(self) -> openai.AsyncOpenAI:
        package = await asyncio.to_thread(importlib.import_module, "openai")  # takes long on a small machine
        if self._made is None:
            self._made = self._make(package)
        return self._made

    def _make(self, package: Any) -> openai.AsyncOpenAI:
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)  # at debug they write whole requests
        secure = self._server.base_url.startswith("https:")
        # nearby a connection costs nothing, and a kept one may be dead: llama-cpp-python resets it after an error
        headers = {"Accept-Encoding": "identity"} | ({} if secure else {"Connection": "close"})
        made: openai.AsyncOpenAI = package.AsyncOpenAI(
            base_url=self._server.base_url,
            api_key=self._key or "none",
            timeout=package.Timeout(
                connect=self._settings.connect_s,
                read=None,  # our own clocks: one for the first token, one for each other
                write=self._settings.connect_s,
                pool=self._settings.connect_s,
            ),
            max_retries=0,
            default_headers=headers,
            # `verify` only says whether certificates are loaded at all: http has none to verify
            http_client=package.DefaultAsyncHttpxClient(
                trust_env=False, follow_redirects=False, verify=secure, event_hooks={"response": [bound]}
            ),
        )
        return made

    async def close(self) -> None:
        """Close its connections."""
        if self._made is not None:
            await self._made.close()
            self._made = None

    async def models(self) -> tuple[str, ...]:
        """The models that it offers, in its order. A server that is off is found without the package."""
        try:
            async with asyncio.timeout(self._settings.probe_timeout_s):
                await self._knock()
            client = await self._client()
            async with asyncio.timeout(self._settings.probe_timeout_s):
                with _told(self._server, self._key):
                    page = await client.models.list()
        except TimeoutError as error:
            raise Failure(UNREACHABLE, f"did not answer for {self._settings.probe_timeout_s:g} s") from error
        found = (getattr(model, "id", None) for model in getattr(page, "data", None) or ())
        return tuple(name[:256] for name in found if isinstance(name, str) and name and name == writable(name))[:64]

    async def _knock(self) -> None:
        if self._made is not None:
            return
        parts = urlsplit(self._server.base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            _, writer = await asyncio.open_connection(parts.hostname, port)
        except OSError as error:
            raise of_connection(error) from error
        writer.close()

    async def chat(self, body: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """The pieces of an answer as they come. Raises `Failure`, also when the stream ends before its end."""
        patience = self._settings.first_token_s
        begun = finished = False
        client = await self._client()
        stream = await self._in_time(self._begin(client, body), patience)
        try:
            chunks = aiter(stream) if _streams(stream.response) else self._whole(stream.response)
            while (chunk := await self._next(chunks, patience, finished=finished)) is not None:
                piece, begun = read(chunk), True
                finished = finished or piece.finish_reason is not None
                if piece.text or _is_thinking(chunk):
                    patience = self._settings.idle_s
                yield piece
        finally:
            await stream.close()
        if not begun:
            await self._in_time(self._complain(client, body), patience)
        if not finished:
            raise Failure(CUT, "the stream ended before the answer did")

    async def _whole(self, response: Any) -> AsyncIterator[Any]:
        """The only chunk where nothing was streamed; those of a stream that calls itself JSON."""
        await response.aread()
        text = response.content.strip()
        events = [line[5:].strip() for line in text.splitlines() if line.startswith(b"data:")]
        for event in [text] if text.startswith(b"{") else events or [text]:
            if event != b"[DONE]":
                yield self._chunk(event)

    def _chunk(self, event: bytes) -> Any:
        found = json.loads(event, object_hook=lambda one: SimpleNamespace(**one))
        if told := getattr(found, "error", None):
            raise in_stream(said(getattr(told, "message", told), self._key))
        if not hasattr(found, "choices"):
            raise Failure(BROKEN, NO_MODEL_SERVER)
        return found

    async def _complain(self, client: openai.AsyncOpenAI, body: Mapping[str, Any]) -> None:
        """Hear why a stream came without a word: llama-cpp-python tells an error only where nothing is streamed."""
        short = {**body, self._server.max_tokens_as: 1}
        found = await client.chat.completions.create(**short, extra_body=dict(self._server.extra_body) or None)
        if not hasattr(found, "choices"):  # the package hands on a page as it is
            raise Failure(BROKEN, NO_MODEL_SERVER)

    async def _begin(self, client: openai.AsyncOpenAI, body: Mapping[str, Any]) -> Any:
        extra = dict(self._server.extra_body)
        return await client.chat.completions.create(
            **body, stream=True, stream_options={"include_usage": True}, extra_body=extra or None
        )

    async def _next(self, chunks: AsyncIterator[Any], patience: float, *, finished: bool) -> Any:
        try:
            return await self._in_time(anext(chunks, None), patience)
        except Failure as failure:
            if finished:
                return None  # the answer is whole; only the goodbye is missing
            if failure.kind is UNREACHABLE:
                raise Failure(CUT, failure.detail.replace("cannot be reached", "the stream was cut")) from failure
            raise

    async def _in_time(self, awaitable: Any, patience: float) -> Any:
        try:
            async with asyncio.timeout(patience) as timeout:
                with _told(self._server, self._key):
                    return await awaitable
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise Failure(STALLED, f"said nothing for {patience:g} s") from error


class _told:
    """Turns the package's errors into `Failure`s."""

    def __init__(self, server: ServerSettings, key: str | None) -> None:
        self._server = server
        self._key = key

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, json.JSONDecodeError):
            raise Failure(CUT, "what it says is no JSON; does base_url end as it should, in /v1?") from error
        if not isinstance(error, Exception) or isinstance(error, (Failure, TimeoutError)):
            return
        if isinstance(cause := innermost(error), Failure):
            raise cause
        import openai  # noqa: PLC0415 - there is an error of its, so it is loaded

        if isinstance(error, openai.APIStatusError):
            words = said(error.body if error.body is not None else error.response.text, self._key)
            raise of_status(error.status_code, words, error.response.headers.get("retry-after")) from error
        if isinstance(error, openai.APIConnectionError):
            raise of_connection(error, self._key) from error
        if isinstance(error, openai.OpenAIError):
            raise in_stream(without(str(error), self._key)) from error
        # the package trusts what it gets: a web page or a list in the place of an answer makes it stumble anyhow
        raise Failure(BROKEN, f"{NO_MODEL_SERVER} ({type(error).__name__})") from error


def _streams(response: Any) -> bool:
    return not response.headers.get("content-type", "").startswith("application/json")


def read(chunk: Any) -> Piece:
    """A chunk as it matters here. Servers leave out what they like: usage, choices, even the text."""
    usage = getattr(chunk, "usage", None)
    choices = getattr(chunk, "choices", None) or ()
    choice = choices[0] if choices else None
    content = getattr(getattr(choice, "delta", None) or getattr(choice, "message", None), "content", None)
    reason = getattr(choice, "finish_reason", None)
    return Piece(
        text=content if isinstance(content, str) else "",
        finish_reason=reason if isinstance(reason, str) and reason else None,
        prompt_tokens=_count(getattr(usage, "prompt_tokens", None)),
        completion_tokens=_count(getattr(usage, "completion_tokens", None)),
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None


def _is_thinking(chunk: Any) -> bool:
    choices = getattr(chunk, "choices", None) or ()
    delta = getattr(choices[0], "delta", None) if choices else None
    return bool(getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None))
