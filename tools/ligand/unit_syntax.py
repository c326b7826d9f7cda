"""The syntax of systemd's unit files, the part that Ligand's own units use.

Source of the rules: systemd.syntax(7), systemd.service(5) "Command lines", systemd.time(7),
systemd.unit(5) "Specifiers". What is outside this part is refused, never guessed.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from signals.errors import LigandError

_SPACE = " \t\n\r"
_SIMPLE = {
    "a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34, "'": 39, "s": 32,
}  # fmt: skip
_NUMERIC = re.compile(r"x(?P<hex>[0-9a-fA-F]{2})|(?P<oct>[0-7]{3})|u(?P<u4>[0-9a-fA-F]{4})|U(?P<u8>[0-9a-fA-F]{8})")
_VARIABLE = re.compile(r"\$\$|\$\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\}")
_WHOLE = re.compile(r"\$(?P<name>[A-Za-z_][A-Za-z0-9_]*)")
_SPECIFIER = re.compile(r"%(.?)", re.DOTALL)
_SPAN_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Zµμ]*)\s*")
_SPAN_UNITS = {
    **dict.fromkeys(("usec", "us", "µs", "μs"), 1e-6),
    **dict.fromkeys(("msec", "ms"), 1e-3),
    **dict.fromkeys(("", "seconds", "second", "sec", "s"), 1.0),
    **dict.fromkeys(("minutes", "minute", "min", "m"), 60.0),
    **dict.fromkeys(("hours", "hour", "hr", "h"), 3600.0),
    **dict.fromkeys(("days", "day", "d"), 86400.0),
    **dict.fromkeys(("weeks", "week", "w"), 604800.0),
}


class UnitError(LigandError):
    """The unit file cannot be used."""

    code = "unit"


@dataclass(frozen=True)
class Entry:
    """One assignment: `[section] key=value`, with where it stands (`file:line`)."""

    section: str
    key: str
    value: str
    where: str


def parse(text: str, file: str) -> list[Entry]:
    """Every assignment in order. Raises `UnitError` naming the file and line."""
    entries: list[Entry] = []
    section = ""
    for number, line in _logical_lines(text):
        where = f"{file}:{number}"
        if line.startswith("["):
            if not line.endswith("]") or len(line) == 2:
                raise UnitError(f"{where}: {line!r} is not a section such as [Service]")
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            raise UnitError(f"{where}: {line!r} is not an assignment such as Key=value")
        if not section:
            raise UnitError(f"{where}: {key.strip()}= stands before any section such as [Service]")
        entries.append(Entry(section, key.strip(), value.strip(), where))
    return entries


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with continuations joined; comments are left out, also between continued lines."""
    held, begun = "", 0
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.lstrip(_SPACE)
        if line.startswith(("#", ";")):
            continue
        begun = begun if held else number
        line = held + line
        if _is_continued(line):
            held = line[:-1] + " "
            continue
        held = ""
        if line.strip(_SPACE):
            yield begun, line.strip(_SPACE)
    if held.strip(_SPACE):
        yield begun, held.strip(_SPACE)


def _is_continued(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def split_words(text: str, where: str) -> list[str]:
    """A command line's words: quotes removed, C escapes replaced, no shell and no variables.

    A quote may only open at the beginning of a word and must close at its end.
    """
    words: list[str] = []
    at = 0
    while True:
        while at < len(text) and text[at] in _SPACE:
            at += 1
        if at == len(text):
            return words
        word, at = _word(text, at, where)
        words.append(word)


def _word(text: str, at: int, where: str) -> tuple[str, int]:
    quote = text[at] if text[at] in "\"'" else ""
    at += len(quote)
    out = bytearray()
    while at < len(text) and (text[at] != quote if quote else text[at] not in _SPACE):
        if text[at] == "\\":
            piece, at = _escape(text, at + 1, where)
            out += piece
        elif text[at] in "\"'" and not quote:
            raise UnitError(f"{where}: a quote in the middle of a word: {text!r}; quote the whole word")
        else:
            out += os.fsencode(text[at])
            at += 1
    if quote:
        at = _after_quote(text, at, where)
    if 0 in out:
        raise UnitError(f"{where}: a word cannot contain a NUL: {text!r}")
    return os.fsdecode(bytes(out)), at


def _after_quote(text: str, at: int, where: str) -> int:
    if at == len(text):
        raise UnitError(f"{where}: a quote is opened and never closed: {text!r}")
    if at + 1 < len(text) and text[at + 1] not in _SPACE:
        raise UnitError(f"{where}: something follows a closing quote without a space: {text!r}")
    return at + 1


def _escape(text: str, at: int, where: str) -> tuple[bytes, int]:
    if text[at : at + 1] in _SIMPLE:
        return bytes([_SIMPLE[text[at]]]), at + 1
    found = _NUMERIC.match(text, at)
    if found is None:
        raise UnitError(f"{where}: unknown escape \\{text[at : at + 1]} in {text!r}")
    kind, digits = str(found.lastgroup), found.group(str(found.lastgroup))
    code = int(digits, 8 if kind == "oct" else 16)
    limit = 0xFF if kind in ("hex", "oct") else 0x10FFFF
    if code > limit or 0xD800 <= code <= 0xDFFF:
        raise UnitError(f"{where}: the escape \\{found.group()} is not a character")
    return (bytes([code]) if limit == 0xFF else chr(code).encode()), found.end()


def expand(text: str, specifiers: Mapping[str, str], where: str) -> str:
    """Replace `%x` by `specifiers["x"]` and `%%` by `%`."""

    def one(found: re.Match[str]) -> str:
        letter = found.group(1)
        if letter == "%":
            return "%"
        if letter not in specifiers:
            known = ", ".join(f"%{name}" for name in sorted(specifiers))
            raise UnitError(f"{where}: the specifier %{letter} is not supported here; known: {known}, %%")
        return specifiers[letter]

    return _SPECIFIER.sub(one, text)


def substitute(words: list[str], variables: Mapping[str, str]) -> list[str]:
    """Replace `${NAME}` anywhere, `$NAME` as a whole word (which may give several words or none)."""
    out: list[str] = []
    for word in words:
        whole = _WHOLE.fullmatch(word)
        if whole:
            out += variables.get(whole["name"], "").split()
        else:
            out.append(_VARIABLE.sub(lambda m: variables.get(m["braced"], "") if m["braced"] else "$", word))
    return out


def time_span(text: str, where: str) -> float:
    """Seconds of a span such as `2`, `500ms`, `1min 30s`; `infinity` is `math.inf`."""
    if text.strip() == "infinity":
        return math.inf
    total, at = 0.0, 0
    while at < len(text) or not text:
        found = _SPAN_PART.match(text, at)
        if found is None or found.group(2) not in _SPAN_UNITS:
            raise UnitError(f"{where}: {text!r} is not a time span such as 2, 500ms, 1min 30s or infinity")
        total += float(found.group(1)) * _SPAN_UNITS[found.group(2)]
        at = found.end()
    return total
