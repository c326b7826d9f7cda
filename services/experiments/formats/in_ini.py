"""INI files of sections and `name = value` lines, systemd's units among them; a key is `section.name`.

A value of several lines, or with something behind it that some readers take for a comment, is not changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from services.experiments.formats.values import FormatError, Parts, Scalar, Span, line_of, shown

_SECTION = re.compile(r"\[(?P<name>[^\]\r\n]+)\][ \t]*\r?")
_OPTION = re.compile(r"[ \t]*(?P<name>[^\s=:#;\[][^=:\r\n]*?)[ \t]*[=:][ \t]*(?P<value>[^\r\n]*?)[ \t]*\r?")
_BARE_NAME = re.compile(r"[ \t]*[^\s=:#;\[][^=:\r\n]*?[ \t]*\r?")
_QUOTED = re.compile(r""""[^"\\]*"|'[^'\\]*'""")


@dataclass(slots=True)
class _Option:
    section: str
    name: str
    span: Span
    indent: int
    several: bool = False

    def goes_on(self, text: str, line: str) -> bool:
        """Whether a line belongs to it: one further in, or one after a backslash."""
        return _indent(line) > self.indent or self.span.of(text).endswith("\\")


def parse(text: str) -> Any:
    """Section -> name -> text; what stands before any section is in the section ''. Raises `FormatError`."""
    built: dict[str, dict[str, str]] = {}
    for one in _scan(text):
        names, value = built.setdefault(one.section, {}), _bare(one.span.of(text))
        # units may repeat a name: all its values are compared, none can be changed
        names[one.name] = f"{names[one.name]}\n{value}" if one.name in names else value
    return built


def locate(text: str, parts: Parts) -> Span:
    """Where a value stands. Raises `FormatError`."""
    hits = [one for one in _scan(text) if (one.section, one.name) == parts]
    where = f"line {line_of(text, hits[0].span.start)}: {shown(parts)}"
    if len(hits) > 1:
        raise FormatError(f"{where} stands {len(hits)} times; keep one.")
    token = hits[0].span.of(text)
    if hits[0].several or token.endswith("\\"):
        raise FormatError(f"{where} goes over several lines; change it by hand.")
    if not _QUOTED.fullmatch(token) and re.search(r"\s[#;]", token):
        raise FormatError(f"{where} has a # or ; in it that some readers take for a comment; give that its own line.")
    return hits[0].span


def written(value: Scalar, present: str) -> str:
    """A text, in the present quotes if there are any. Raises `FormatError` for one that would be read differently."""
    text = str(value)
    quote = present[0] if _QUOTED.fullmatch(present) else ""
    odd = text != text.strip() or re.search(r"(^|\s)[#;]", text) or text[:1] in ("'", '"', "[")
    if not text.isprintable() or "\\" in text or (quote and quote in text) or (not quote and (odd or not text)):
        raise FormatError(f"{text!r} cannot be written here so that every reader takes it alike.")
    return f"{quote}{text}{quote}"


def _bare(token: str) -> str:
    return token[1:-1] if _QUOTED.fullmatch(token) else token


def _scan(text: str) -> Iterator[_Option]:
    section, last, position = "", None, 0
    for line in text.split("\n"):
        start, position = position, position + len(line) + 1
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        if last is not None and last.goes_on(text, line):
            last.several, last.span = True, Span(last.span.start, start + len(line.rstrip()))
            continue
        if last is not None:
            yield last
            last = None
        if head := _SECTION.fullmatch(line):
            section = head["name"]
        elif option := _OPTION.fullmatch(line):
            span = Span(start + option.start("value"), start + option.end("value"))
            last = _Option(section, option["name"], span, _indent(line))
        elif not _BARE_NAME.fullmatch(line):
            raise FormatError(f"line {line_of(text, start)}: neither [section] nor name = value")
    if last is not None:
        yield last


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
