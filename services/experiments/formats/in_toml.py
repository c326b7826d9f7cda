"""TOML: read by the standard library; `tomlkit`, which keeps a text as it is, tells where a value stands in it."""

from __future__ import annotations

import tomllib
from typing import Any
from uuid import uuid4

from services.experiments.formats.values import FormatError, Parts, Scalar, Span, decimal, shown

_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def parse(text: str) -> Any:
    """The whole document; dates and times are what the standard library makes of them. Raises `FormatError`."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise FormatError(f"not TOML: {error}") from error


def locate(text: str, parts: Parts) -> Span:
    """Where a scalar stands: what differs once another value is put there. Raises `FormatError`."""
    import tomlkit  # noqa: PLC0415 - most files are no TOML
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415

    mark = f'"{uuid4().hex}"'
    try:
        document = tomlkit.parse(text)
        inner: Any = document
        for part in parts[:-1]:
            inner = inner[int(part) if isinstance(inner, list) else part]
        inner[int(parts[-1]) if isinstance(inner, list) else parts[-1]] = mark[1:-1]
        before, _, after = tomlkit.dumps(document).partition(mark)
    except (TOMLKitError, TypeError, ValueError, RecursionError) as error:
        raise FormatError(f"{shown(parts)}: not found by itself in the file ({error}); change it by hand.") from error
    span = Span(len(before), len(text) - len(after))
    if span.start >= span.end or before != text[: span.start] or after != text[span.end :]:
        raise FormatError(f"{shown(parts)}: its place in the file is not certain; change it by hand.")
    return span


def written(value: Scalar, present: str) -> str:
    """A scalar; a text keeps single quotes where it can be written with them. Raises `FormatError` for null."""
    if value is None:
        raise FormatError("TOML has no way to write that there is no value.")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return decimal(value)
    if isinstance(value, int):
        return str(value)
    if present[:1] == "'" and "'" not in value and value.isprintable():
        return f"'{value}'"
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"
