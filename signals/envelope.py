"""The envelope: one closed JSON object of at most 64 KiB. `encode` and `decode` are pure and know no socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

import jsonschema_rs
import orjson

from signals.errors import MalformedError, OversizeError, SchemaError

MAX_BYTES = 64 * 1024
MAX_CAUSES = 65
"""So many signals one may follow from: the first, and those in `also_caused_by`."""
_BUS_OVERHEAD = 8 * 1024
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
_SOURCE = r"^(person@[\w.-]{1,64}|[a-z][a-z0-9_]{0,63}(@[a-z0-9][a-z0-9_-]{0,31})?)$"

EMITTER_FIELDS: dict[str, Any] = {
    "signal": {"type": "string", "pattern": "^Q_[A-Z0-9]+(_[A-Z0-9]+)*$", "maxLength": 80},
    "id": {"type": "string", "pattern": _UUID},
    "timestamp": {"type": "string", "pattern": _TIME},
    "source": {"type": "string", "pattern": _SOURCE},
    "host": {"type": "string", "minLength": 1, "maxLength": 255},
    "version": {"type": "integer", "minimum": 1, "maximum": 9999},
    "causation_id": {"type": "string", "pattern": _UUID},
    "also_caused_by": {
        "type": "array",
        "items": {"type": "string", "pattern": _UUID},
        "maxItems": MAX_CAUSES - 1,
        "uniqueItems": True,
    },
    "expires_at": {"type": "string", "pattern": _TIME},
    "taint": {
        "type": "array",
        "items": {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,31}$"},
        "maxItems": 32,
    },
    "facts": {"type": "object"},
}
BUS_FIELDS = ("correlation_id", "hops", "replayed", "seq", "received_at", "peer_uid")
ENVELOPE_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": EMITTER_FIELDS,
    "required": ["signal", "id", "timestamp", "source", "host", "version", "facts"],
    "additionalProperties": False,
}
_fits = jsonschema_rs.validator_for(ENVELOPE_SCHEMA).is_valid


class Signal(NamedTuple):
    """One signal. Times are RFC 3339 in UTC with microseconds; `taint` is sorted; ids are UUIDs as text.

    `correlation_id`, `hops`, `seq`, `received_at` and `peer_uid` are set by the bus; before that they are None.
    """

    signal: str
    id: str
    timestamp: str
    source: str
    host: str
    version: int
    facts: dict[str, Any]
    causation_id: str | None = None
    also_caused_by: tuple[str, ...] = ()
    expires_at: str | None = None
    taint: tuple[str, ...] = ()
    correlation_id: str | None = None
    hops: int | None = None
    replayed: bool = False
    seq: int | None = None
    received_at: str | None = None
    peer_uid: int | None = None


def encode(signal: Signal) -> bytes:
    """Compact JSON of `signal`, without the fields that are absent. Raises `OversizeError`."""
    return dump(to_dict(signal))


def to_dict(signal: Signal) -> dict[str, Any]:
    """The envelope as a dict, in its fixed order, without the fields that are absent."""
    found: dict[str, Any] = {}
    for name in _ORDER:
        value = getattr(signal, name)
        if value is not None and value != () and value is not False:
            found[name] = list(value) if type(value) is tuple else value
    return found


_ORDER = (
    "seq",
    "signal",
    "id",
    "correlation_id",
    "causation_id",
    "also_caused_by",
    "hops",
    "timestamp",
    "received_at",
    "expires_at",
    "source",
    "host",
    "peer_uid",
    "version",
    "replayed",
    "taint",
    "facts",
)


def dump(envelope: Mapping[str, Any]) -> bytes:
    """Compact JSON of an envelope in a dict. Raises `MalformedError`, `OversizeError`."""
    try:
        raw = orjson.dumps(envelope)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise MalformedError(f"The facts cannot be written as JSON: {error}") from error
    if len(raw) > MAX_BYTES + _BUS_OVERHEAD:
        raise OversizeError(f"The envelope has {len(raw):,} bytes; at most {MAX_BYTES:,} are carried.")
    return raw


def decode(raw: bytes) -> Signal:
    """The signal in `raw`, as emitted or as journaled. Raises `MalformedError`, `OversizeError`."""
    return _filled(load(raw, MAX_BYTES + _BUS_OVERHEAD))


def from_dict(envelope: Mapping[str, Any]) -> Signal:
    """The signal whose envelope is in a dict. Raises `MalformedError` for a missing or unknown field."""
    return _filled(dict(envelope))


def _filled(fields: dict[str, Any]) -> Signal:
    try:
        for name in ("also_caused_by", "taint"):
            if name in fields:
                fields[name] = tuple(fields[name])
        return Signal(**fields)
    except TypeError as error:
        raise MalformedError(f"Not an envelope: {error}") from error


def load(raw: bytes, limit: int = MAX_BYTES) -> dict[str, Any]:
    """One JSON object, strictly: no duplicate keys, no NaN or Infinity, no integer beyond 64 bits.

    orjson lets duplicate keys pass and turns huge integers into floats; what it wrote itself comes back
    byte for byte, so only other spellings take the slow path.
    """
    if len(raw) > limit:
        raise OversizeError(f"The envelope has {len(raw):,} bytes; at most {limit:,} are carried.")
    try:
        found = orjson.loads(raw)
        if orjson.dumps(found) != raw:
            found = _strict(raw)
    except (ValueError, RecursionError, orjson.JSONEncodeError) as error:
        raise MalformedError(f"Not strict JSON: {error}") from error
    if type(found) is not dict:
        raise MalformedError("An envelope is one JSON object; this is something else.")
    return found


def check_emitted(envelope: Mapping[str, Any]) -> None:
    """Raise unless `envelope` has just the fields that an emitter may set, in their form."""
    if _fits(envelope):
        return
    forged = [name for name in BUS_FIELDS if name in envelope]
    if forged:
        raise SchemaError(
            f"{', '.join(forged)}: set by the bus alone; leave it out.",
            path=f"$.{forged[0]}",
            expected="absent",
        )
    _explain(envelope)


def _explain(envelope: Mapping[str, Any]) -> NoReturn:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 70 ms, only needed to say what is wrong

    from signals.explaining import located, place  # noqa: PLC0415 - as above

    for error in Draft202012Validator(ENVELOPE_SCHEMA).iter_errors(dict(envelope)):
        steps, expected, found = located(error)
        path = place("$", steps)
        raise SchemaError(
            f"The envelope is wrong at {path}: found {found}, expected {expected}.", path=path, expected=expected
        )
    raise SchemaError("The envelope has values that JSON cannot hold.", path="$", expected="JSON values")


def _strict(raw: bytes) -> Any:
    return json.loads(
        raw, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_small_int, parse_float=_finite
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        again = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {again!r} stands twice")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _small_int(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise ValueError(f"the integer {text[:24]} is beyond 64 bits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:24]} is beyond double precision")
    return value


def rfc3339(seconds: float) -> str:
    """Unix seconds as RFC 3339 in UTC, with microseconds."""
    return rfc3339_of_us(round(seconds * 1e6))


def rfc3339_of_us(microseconds: int) -> str:
    """Unix microseconds as RFC 3339 in UTC."""
    second, rest = divmod(microseconds, 1_000_000)
    return f"{_to_the_second(second)}.{rest:06}Z"


@lru_cache(maxsize=16)
def _to_the_second(unix: int) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def unix_seconds(text: str) -> float:
    """RFC 3339 as Unix seconds. Raises `ValueError`."""
    return datetime.fromisoformat(text).timestamp()
