"""What a checked CEL expression reads and does, from its serialised form.

The form is `cel.expr.CheckedExpr` in protobuf's wire format (cel-spec, proto/cel/expr/{checked,syntax}.proto;
https://protobuf.dev/programming-guides/encoding). Only the few fields that are needed are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_NUMERIC = frozenset(
    {"add_int64", "add_uint64", "add_double", "add_duration_duration", "add_timestamp_duration",
     "add_duration_timestamp"}
)  # fmt: skip
_COSTLY = frozenset({"matches", "replace", "split", "join", "format", "string", "bytes"})
_LONG = frozenset(
    {"contains", "indexOf", "lastIndexOf", "lowerAscii", "upperAscii", "reverse", "substring", "trim", "strings.quote"}
)
"""What searches or copies a whole text each time."""
_DOUBLING = frozenset({"strings.quote", "format"})
UNKNOWN = 1 << 20


@dataclass
class Reads:
    """The member paths an expression reads, those it asks `has()` of, and what a loop of it must not do.

    `is_heavy`: a loop of it makes a list, or searches or copies texts. `growth`: how many times as long as what it
    reads a text of it may become.
    """

    paths: set[tuple[str, ...]] = field(default_factory=set)
    guarded: set[tuple[str, ...]] = field(default_factory=set)
    costly: set[str] = field(default_factory=set)
    is_heavy: bool = False
    growth: int = 1


def reads(serialised: bytes) -> Reads:
    """The paths and loops of a serialised checked expression."""
    checked = _one(serialised, 2)  # google.protobuf.Any: the value
    overloads = dict(_overload(entry) for entry in _all(checked, 2))
    found = Reads()
    whole = _one(checked, 4)
    _walk(whole, overloads, found, looping=False)
    found.growth = _growth(whole)
    return found


def _walk(node: bytes, overloads: dict[int, set[str]], found: Reads, *, looping: bool) -> None:
    if _one(node, 5):
        _select(node, found)
    elif call := _one(node, 6):
        _call(node, call, overloads, found, looping=looping)
    elif comprehension := _one(node, 9):
        found.is_heavy = found.is_heavy or bool(_all(_one(comprehension, 4), 7))  # what it makes begins as a list
    for inner, again in _inner(node):
        _walk(inner, overloads, found, looping=looping or again)


def _inner(node: bytes) -> Iterator[tuple[bytes, bool]]:
    """The expressions that one is made of, and whether each is evaluated again and again."""
    select, call, comprehension = _one(node, 5), _one(node, 6), _one(node, 9)
    once = [_one(select, 1), _one(call, 1), *_all(call, 3), _one(comprehension, 2), *_all(_one(node, 7), 1)]
    once += [_one(entry, part) for entry in _all(_one(node, 8), 2) for part in (3, 4)]  # key and value of a map
    yield from ((part, False) for part in once if part)
    yield from ((part, True) for number in (4, 5, 6, 7) if (part := _one(comprehension, number)))


def _call(node: bytes, call: bytes, overloads: dict[int, set[str]], found: Reads, *, looping: bool) -> None:
    name, arguments = _one(call, 2).decode(), _all(call, 3)
    if looping and name in _COSTLY:
        found.costly.add(name)
    found.is_heavy = found.is_heavy or (looping and name in _LONG)
    if looping and name == "_+_" and not overloads.get(_number(node, 2), set()) <= _NUMERIC:
        first = _one(_one(arguments[0], 4), 1)
        if first != b"@result":
            found.costly.add("+ of texts or lists")


def _growth(node: bytes) -> int:
    """How many times as long a text may become on the way through the calls of an expression."""
    call = _one(node, 6)
    inner = max((_growth(one) for one, _ in _inner(node)), default=1)
    return inner * _factor(_one(call, 2).decode(), _all(call, 3))


def _factor(name: str, arguments: list[bytes]) -> int:
    """What one call may do to the length of a text."""
    if name in _DOUBLING:
        return 2
    if name not in ("replace", "join") or not arguments:
        return 1
    put_in = _literal(arguments[-1] if name == "join" else arguments[1])
    if put_in is None:
        return UNKNOWN
    taken_out = _literal(arguments[0]) if name == "replace" else None
    return max(1, -(-len(put_in) // len(taken_out))) if taken_out else 1 + len(put_in)


def _literal(node: bytes) -> bytes | None:
    """The text that stands there; None for what is only known at run time."""
    constant = _one(node, 3)
    return _one(constant, 6) if constant else None


def _select(node: bytes, found: Reads) -> None:
    path = _path(node)
    if path is not None:
        (found.guarded if _number(_one(node, 5), 3) else found.paths).add(path)


def _path(node: bytes) -> tuple[str, ...] | None:
    if select := _one(node, 5):
        before = _path(_one(select, 1))
        return (*before, _one(select, 2).decode()) if before is not None else None
    ident = _one(node, 4)
    return (_one(ident, 1).decode(),) if ident else None


def _overload(entry: bytes) -> tuple[int, set[str]]:
    return _number(entry, 1), {name.decode() for name in _all(_one(entry, 2), 3)}


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(raw, at)
            yield key >> 3, value
        elif kind == 2:
            size, at = _varint(raw, at)
            yield key >> 3, raw[at : at + size]
            at += size
        else:
            at += 8 if kind == 1 else 4


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _all(raw: bytes, number: int) -> list[bytes]:
    return [value for found, value in _fields(raw) if found == number and isinstance(value, bytes)]


def _one(raw: bytes, number: int) -> bytes:
    return next(iter(_all(raw, number)), b"")


def _number(raw: bytes, number: int) -> int:
    return next((value for found, value in _fields(raw) if found == number and isinstance(value, int)), 0)
