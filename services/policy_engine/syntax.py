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


@dataclass
class Reads:
    """The member paths an expression reads, those it asks `has()` of, and what a loop of it must not do."""

    paths: set[tuple[str, ...]] = field(default_factory=set)
    guarded: set[tuple[str, ...]] = field(default_factory=set)
    costly: set[str] = field(default_factory=set)


def reads(serialised: bytes) -> Reads:
    """The paths and loops of a serialised checked expression."""
    checked = _one(serialised, 2)  # google.protobuf.Any: the value
    overloads = dict(_overload(entry) for entry in _all(checked, 2))
    found = Reads()
    _walk(_one(checked, 4), overloads, found, looping=False)
    return found


def _walk(node: bytes, overloads: dict[int, set[str]], found: Reads, *, looping: bool) -> None:
    if select := _one(node, 5):
        _select(node, select, found)
        _walk(_one(select, 1), overloads, found, looping=looping)
    elif call := _one(node, 6):
        _call(node, call, overloads, found, looping=looping)
    elif comprehension := _one(node, 9):
        _walk(_one(comprehension, 2), overloads, found, looping=looping)
        for part in (4, 5, 6, 7):
            _walk(_one(comprehension, part), overloads, found, looping=True)
    else:
        for kind in (7, 8):  # a list's elements are expressions; a map's entries hold them as key and value
            for element in _all(_one(node, kind), 1 if kind == 7 else 2):
                for value in [element] if kind == 7 else [_one(element, 3), _one(element, 4)]:
                    _walk(value, overloads, found, looping=looping)


def _call(node: bytes, call: bytes, overloads: dict[int, set[str]], found: Reads, *, looping: bool) -> None:
    name, arguments = _one(call, 2).decode(), _all(call, 3)
    if looping and name in _COSTLY:
        found.costly.add(name)
    if looping and name == "_+_" and not overloads.get(_number(node, 2), set()) <= _NUMERIC:
        first = _one(_one(arguments[0], 4), 1)
        if first != b"@result":
            found.costly.add("+ of texts or lists")
    for part in (_one(call, 1), *arguments):
        _walk(part, overloads, found, looping=looping)


def _select(node: bytes, select: bytes, found: Reads) -> None:
    path = _path(node)
    if path is not None:
        (found.guarded if _number(select, 3) else found.paths).add(path)


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
