"""Files of `NAME=value` lines, as the shell, systemd and `.env` readers take them.

These readers differ in much. Changed is only what all of them read alike; the rest is refused, and said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from services.experiments.formats.values import FormatError, Parts, Scalar, Span, line_of, shown

_REST = re.compile(r"[ \t]*(?:[#;][^\n]*)?(?:\n|$)")
_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=")
# any mixture of bare and quoted pieces up to the end of the line; quoted ones may go over several
_VALUE = re.compile(r"""(?:[^"'\\\n]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')*""", re.DOTALL)
_ALIKE = re.compile(r"""[A-Za-z0-9_./:@%+,=-]*|"[^"\\$`\n\r]*"|'[^'\\$`\n\r]*'""")
_BARE = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")


def parse(text: str) -> Any:
    """Each name with the characters of its value, quotes taken off where all readers agree. Raises `FormatError`."""
    built: dict[str, str] = {}
    for name, span in _lines(text):
        if name in built:
            raise FormatError(f"line {line_of(text, span.start)}: {name} stands twice; keep one")
        token = span.of(text)
        built[name] = _bare(token) if _ALIKE.fullmatch(token) else token
    return built


def locate(text: str, parts: Parts) -> Span:
    """Where a value stands. Raises `FormatError` for one that readers take differently."""
    span = next(span for name, span in _lines(text) if (name,) == parts)
    if not _ALIKE.fullmatch(span.of(text)):
        raise FormatError(
            f"line {line_of(text, span.start)}: {shown(parts)} has blanks, signs or a comment that the shell, systemd "
            "and others read differently; put it in quotes, and the comment on a line of its own."
        )
    return span


def written(value: Scalar, present: str) -> str:
    """A text in the present quotes, or in double ones where it needs some. Raises `FormatError`."""
    text = str(value)
    quote = present[:1] if present[:1] in ("'", '"') else "" if _BARE.fullmatch(text) else '"'
    token = f"{quote}{text}{quote}"
    if not _ALIKE.fullmatch(token) or not text.isprintable():
        raise FormatError(f"{text!r} cannot be written so that the shell, systemd and others read the same.")
    return token


def _bare(token: str) -> str:
    return token[1:-1] if token[:1] in ("'", '"') else token


def _lines(text: str) -> Iterator[tuple[str, Span]]:
    position = 0
    while position < len(text):
        named = _NAME.match(text, position)
        if named is None:
            blank = _REST.match(text, position)
            if blank is None:
                raise FormatError(f"line {line_of(text, position)}: neither NAME=value nor a comment")
            position = blank.end()
            continue
        end = _value_end(text, named.end())
        token = text[named.end() : end].rstrip("\r")
        yield named[1], Span(named.end(), named.end() + len(token))
        position = end + 1


def _value_end(text: str, start: int) -> int:
    value = _VALUE.match(text, start)
    assert value is not None
    if value.end() < len(text) and text[value.end()] != "\n":
        raise FormatError(f"line {line_of(text, value.end())}: a quote that is not closed")
    return value.end()
