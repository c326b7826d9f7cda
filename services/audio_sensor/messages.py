"""What the daemon and its children say to each other through pipes: a line of JSON, and as many bytes as it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, BinaryIO

import orjson

MOST_BYTES = 64 << 20


def packed(message: Mapping[str, Any], payload: bytes = b"") -> bytes:
    """One message, ready to be written."""
    return orjson.dumps({**message, "bytes": len(payload)}) + b"\n" + payload


def write(stream: BinaryIO, message: Mapping[str, Any], payload: bytes = b"") -> None:
    """Say something at once."""
    stream.write(packed(message, payload))
    stream.flush()


def read(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next message; None when the other side has gone."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    message: dict[str, Any] = orjson.loads(line)
    payload = stream.read(message["bytes"])
    return (message, payload) if len(payload) == message["bytes"] else None


async def receive(stream: asyncio.StreamReader) -> tuple[dict[str, Any], bytes] | None:
    """The next message of a child; None when it has gone, or says what is no message."""
    try:
        message: dict[str, Any] = orjson.loads(await stream.readuntil(b"\n"))
        size = message["bytes"]
        return (message, await stream.readexactly(size)) if 0 <= size <= MOST_BYTES else None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
