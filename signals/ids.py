"""Identifiers of signals: UUIDv7 for roots, UUIDv8 for what can be derived again after a crash (RFC 9562)."""

from __future__ import annotations

import os
import re
import time
from hashlib import sha256

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def _format(time_ms: bytes, rest: bytes, version: int) -> str:
    """Lay 6 bytes of time and 10 others out as a UUID of the given version."""
    tail = bytes((rest[0] & 0x0F | version << 4, rest[1], rest[2] & 0x3F | 0x80)) + rest[3:10]
    text = (time_ms + tail).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid7() -> str:
    """A new time-ordered id (48-bit Unix milliseconds, then 74 random bits)."""
    return _format((time.time_ns() // 1_000_000).to_bytes(6, "big"), os.urandom(10), 7)


def derive(cause_id: str, consumer: str, generation: int, signal: str, nth: int) -> str:
    """The id of the nth `signal` emitted while `consumer` handles `cause_id`: the same whenever it is repeated.

    The cause's time is kept in front, so that the journal's index stays in time order.
    """
    seed = f"{cause_id}\0{consumer}\0{generation}\0{signal}\0{nth}".encode()
    return _format(bytes.fromhex(cause_id[:8] + cause_id[9:13]), sha256(seed).digest(), 8)


def keyed(daemon: str, key: str) -> str:
    """The id that `daemon` always gives to the signal it calls `key`.

    A key that begins with a UUID lends its time to the id, for the journal index's sake.
    """
    digest = sha256(f"{daemon}\0{key}".encode()).digest()
    lead = _UUID.match(key)
    time_ms = bytes.fromhex(key[:8] + key[9:13]) if lead else digest[10:16]
    return _format(time_ms, digest, 8)


def pack(text: str) -> bytes:
    """The 16 bytes of an id as the journal keeps it."""
    return bytes.fromhex(text.replace("-", ""))


def unpack(raw: bytes) -> str:
    """The text of an id kept as 16 bytes."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_id(text: object) -> bool:
    """Whether this is an id in its one canonical spelling."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None
