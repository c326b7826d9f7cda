"""Bounds what a server may send before any of it is understood: the package keeps all of a line and of a body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from services.model_worker.failures import BROKEN, Failure

MAX_BODY = 4 * 1024 * 1024
"""Bytes of an answer that is no stream: a list of models, an error."""
MAX_EVENT = 1024 * 1024
"""Bytes of one event of a stream; how many events may come is a matter of the answer's own length and time."""
_EVENT_ENDS = (b"\n\n", b"\r\r", b"\r\n\r\n")  # WHATWG HTML, 9.2.5


async def bound(response: Any) -> None:
    """A hook of the HTTP client: its response gives no more than this. Raises `Failure` for a packed one."""
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity"):  # a few bytes could become any number
        raise Failure(BROKEN, f"its answer is packed ({packed[:40]}), which was not asked for")
    is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
    raw, bounded = response.aiter_raw, (events if is_stream else body)
    response.aiter_raw = _with(raw, bounded)


def _with(raw: Callable[..., Any], bounded: Callable[[Any], AsyncIterator[bytes]]) -> Callable[..., Any]:
    return lambda *args, **kwargs: bounded(raw(*args, **kwargs))


async def body(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks, as long as they are not too many bytes together. Raises `Failure`."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        _judge(size, MAX_BODY)
        yield chunk


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks, as long as no event among them is too long. Raises `Failure`."""
    size, tail = 0, b""
    async for chunk in chunks:
        seen = tail + chunk
        ends = [place + len(end) for end in _EVENT_ENDS if (place := seen.rfind(end)) >= 0]
        size = len(seen) - max(ends) if ends else size + len(chunk)
        tail = seen[-3:]
        _judge(size, MAX_EVENT)
        yield chunk


def _judge(size: int, most: int) -> None:
    if size > most:
        raise Failure(BROKEN, f"it sends without an end: more than {most // 1024} KiB where a model server needs a few")
