"""JSON, strictly: no comments, no key twice in one object."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]  # the decoder's own, missing from the stubs
from typing import Any

from services.experiments.formats.values import FormatError, Parts, Scalar, Span, line_of

_BLANK = re.compile(r"[ \t\n\r]*")


def parse(text: str) -> Any:
    """The one value. Raises `FormatError`."""
    try:
        return _decoder().decode(text)
    except json.JSONDecodeError as error:
        raise FormatError(f"line {error.lineno}: {error.msg}") from error
    except RecursionError as error:
        raise FormatError("nested too deep") from error


def locate(text: str, parts: Parts) -> Span:
    """Where a scalar of a text that `parse` takes stands."""
    position = _skip(text, 0)
    for part in parts:
        position = _in_object(text, position, part) if text[position] == "{" else _in_array(text, position, int(part))
    return Span(position, _end(text, position))


def written(value: Scalar, present: str) -> str:
    """A scalar, with characters beyond ASCII escaped where the present text has them so."""
    return json.dumps(value, ensure_ascii="\\u" in present)


def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=_single, parse_constant=_refused)


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"the key {twice!r} stands twice in one object; keep one")
    return built


def _refused(name: str) -> Any:
    raise FormatError(f"{name} is no JSON number")


def _skip(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    assert blank is not None
    return blank.end()


def _end(text: str, position: int) -> int:
    return int(_decoder().raw_decode(text, position)[1])


def _in_object(text: str, position: int, wanted: str) -> int:
    position = _skip(text, position + 1)
    while text[position] == '"':
        name, position = scanstring(text, position + 1)
        position = _skip(text, _skip(text, position) + 1)  # the colon
        if name == wanted:
            return position
        position = _skip(text, _skip(text, _end(text, position)) + 1)  # the comma
    raise FormatError(f"line {line_of(text, position)}: {wanted!r} is not there")


def _in_array(text: str, position: int, wanted: int) -> int:
    position = _skip(text, position + 1)
    for _ in range(wanted):
        position = _skip(text, _skip(text, _end(text, position)) + 1)  # the comma
    return position
