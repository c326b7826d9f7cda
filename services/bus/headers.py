"""What the headers of requests say, read strictly: a client's mistake is a `UsageError`, never an error of the bus."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from signals import wire
from signals.errors import MalformedError, UsageError

MAX_HELD = 10_000
SEQ_END = 1 << 62
TEXT_MAX = 16_384
STATE_MAX_BYTES = 1 << 20
MAX_TOGETHER = 1000
TOGETHER = frozenset(op.decode() for op in wire.TOGETHER)


def parse(raw: bytes) -> dict[str, Any]:
    """The header in `raw`. Raises `MalformedError`."""
    if raw == b"{}":
        return {}
    try:
        found = orjson.loads(raw)
    except ValueError as error:
        raise MalformedError(f"The header is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise MalformedError("The header is not a JSON object.")
    return found


def many(raw: bytes, signals: int) -> list[tuple[bytes, bytes, dict[str, Any], int]]:
    """(operation, number, header, how many signals) of each request that came with others."""
    try:
        found = orjson.loads(raw)
    except ValueError as error:
        raise MalformedError(f"The list of requests is not JSON: {error}") from error
    if type(found) is not list or not all(type(each) is list and len(each) == 4 for each in found):
        raise MalformedError("many carries a list of [operation, number, header, number of signals].")
    if len(found) > MAX_TOGETHER:
        raise UsageError(f"At most {MAX_TOGETHER:,} requests come in one message, not {len(found):,}.")
    for op, number, header, count in found:
        if type(op) is not str or op not in TOGETHER or type(header) is not dict:
            raise UsageError(f"Among many there can be {', '.join(sorted(TOGETHER))}, each with an object as header.")
        whole_number(number, "The number of a request")
        whole_number(count, "A number of signals")
    if sum(count for *_, count in found) != signals:
        raise MalformedError("many has another number of signals than its list says.")
    return [(op.encode(), b"%d" % number, header, count) for op, number, header, count in found]


def whole_number(value: Any, what: str) -> int:
    """A `seq` or the number of a dead letter. Raises `UsageError`."""
    if type(value) is not int or not 0 <= value < SEQ_END:
        raise UsageError(f"{what} is a whole number, not {str(value)[:64]!r}.")
    return value


def place(header: dict[str, Any]) -> tuple[str, int]:
    """The lane and `seq` that a settle or an ask is about."""
    lane = header.get("lane", "")
    if not isinstance(lane, str):
        raise UsageError("lane is the name of a lane; the main one is the empty text.")
    return lane, whole_number(header.get("seq"), "seq")


def credits(header: dict[str, Any]) -> dict[str, int]:
    """How many signals each lane can hold."""
    found = header.get("lanes", {})
    if not isinstance(found, dict) or not all(type(n) is int and 0 <= n <= 10_000 for n in found.values()):
        raise UsageError("lanes says how many signals each lane can hold.")
    return found


class Held(NamedTuple):
    """What an attaching client still has in hand; its id where the client says it."""

    lane: str
    seq: int
    generation: int = 0
    id: str | None = None


def held(header: dict[str, Any]) -> list[Held]:
    """What an attaching client still has in hand."""
    found = header.get("in_hand", [])
    if not isinstance(found, list) or len(found) > MAX_HELD:
        raise UsageError(f"in_hand is a list of at most {MAX_HELD:,} [lane, seq, generation, id].")
    return [_held(entry) for entry in found]


def _held(entry: Any) -> Held:
    if not isinstance(entry, list) or not 2 <= len(entry) <= 4 or not isinstance(entry[0], str):
        raise UsageError("in_hand is a list of [lane, seq, generation, id].")
    generation = whole_number(entry[2], "generation") if len(entry) > 2 else 0
    return Held(entry[0], whole_number(entry[1], "seq"), generation, str(entry[3]) if len(entry) > 3 else None)


def puts(header: dict[str, Any]) -> dict[str, bytes | None]:
    """The state to keep, as JSON by key; None forgets a key."""
    found = header.get("put")
    if not found:
        return {}
    if not isinstance(found, dict):
        raise UsageError("put is an object of keys and values.")
    state = {key: None if value is None else _json(value) for key, value in found.items()}
    if any(len(key) > 200 or len(value or b"") > STATE_MAX_BYTES for key, value in state.items()):
        raise UsageError(
            f"State is small: keys of at most 200 characters, values of at most {STATE_MAX_BYTES:,} bytes."
        )
    return state


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise UsageError(f"A value to keep cannot be written as JSON: {error}") from error


def retry_in(header: dict[str, Any]) -> float:
    """Seconds for which a consumer pauses: 10 ms to an hour."""
    value = header.get("retry_in", 30.0)
    if type(value) not in (int, float):
        raise UsageError("retry_in is a number of seconds.")
    return min(max(float(value), 0.01), 3600.0)


def said(header: dict[str, Any], name: str) -> str:
    """A text of the client's, cut to a bearable length."""
    return str(header.get(name, ""))[:TEXT_MAX]
