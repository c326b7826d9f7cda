"""Reading and changing single values: the value's own characters are exchanged, then the whole is read again.

No format is ever written out anew, so comments, quotes, order and line ends cannot change.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

from services.experiments.formats import in_env, in_ini, in_json, in_toml, in_yaml
from services.experiments.formats.values import (
    MAX_BYTES,
    MAX_TEXT,
    Format,
    FormatError,
    Parts,
    Scalar,
    found,
    line_of,
    parts_of,
    replaced,
    same,
    shown,
)

FORMATS: Mapping[str, Format] = {
    "yaml": cast(Format, in_yaml),
    "json": cast(Format, in_json),
    "toml": cast(Format, in_toml),
    "env": cast(Format, in_env),
    "ini": cast(Format, in_ini),
}
MAX_BITS = 1024
"""Whole numbers beyond are no values: they are larger than any float, and could not even be shown."""
TEXTS_ONLY = frozenset({"env", "ini"})
"""Formats that know no numbers: there `0.5` is a text, and is meant as whatever its reader takes it for."""


def read(form: str, raw: bytes, keys: Iterable[str]) -> dict[str, Scalar]:
    """The values at dotted keys, by key; texts in `env` and `ini`. Raises `FormatError`."""
    _, text = _decoded(raw)
    tree = _parsed(FORMATS[form], text)
    return {key: _sized(key, found(tree, _place(form, key))) for key in keys}


def change(form: str, raw: bytes, values: Mapping[str, Scalar]) -> bytes:
    """The bytes with other values at dotted keys, and nothing else changed.

    Values that are there already keep the way in which they are written. Raises `FormatError` when the outcome,
    read again, is not exactly what was there before with these values in it.
    """
    mark, text = _decoded(raw)
    using, wanted = FORMATS[form], {_place(form, key): _wanted(form, key, value) for key, value in values.items()}
    before = _parsed(using, text)
    new = {parts: value for parts, value in wanted.items() if not same(found(before, parts), value)}
    after = _spliced(using, text, new)
    _verify(using, replaced(before, new), after)
    return mark + after.encode()


def _parsed(using: Format, text: str) -> Any:
    try:
        return using.parse(text)
    except ValueError as error:  # Python reads no whole number of more than 4,300 digits
        raise FormatError(f"a number in the file cannot be read: {str(error)[:80]}") from error


def _sized(key: str, value: Scalar) -> Scalar:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise FormatError(f"{key} is a number of more digits than a setting can have.")
    return value


def _place(form: str, key: str) -> Parts:
    """The way to a key; in an INI file all but its last part is the section's name."""
    parts = parts_of(key)
    return (shown(parts[:-1]), parts[-1]) if form == "ini" else parts


def _wanted(form: str, key: str, value: Scalar) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        raise FormatError(f"{key}: {value} is no number that a configuration can have.")
    if isinstance(value, str) and (len(value) > MAX_TEXT or not _is_text(value)):
        raise FormatError(f"{key}: the text is longer than {MAX_TEXT} characters, or cannot be written as UTF-8.")
    return as_text(value) if form in TEXTS_ONLY else value


def as_text(value: Scalar) -> str:
    """A value where only texts are known."""
    if value is None:
        raise FormatError("An env or ini file has no way to write that there is no value.")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _decoded(raw: bytes) -> tuple[bytes, str]:
    """The byte order mark, if any, and the text behind it. Raises `FormatError`."""
    if len(raw) > MAX_BYTES:
        raise FormatError(f"The file is larger than {MAX_BYTES >> 20} MiB.")
    mark = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
    try:
        return mark, raw[len(mark) :].decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise FormatError(f"line {line}: the file is not UTF-8; nothing in it is changed.") from error


def _spliced(using: Format, text: str, new: Mapping[Parts, Scalar]) -> str:
    spans = [(using.locate(text, parts), parts, value) for parts, value in new.items()]
    for span, parts, value in sorted(spans, key=lambda one: one[0].start, reverse=True):
        try:
            token = using.written(value, span.of(text))
        except FormatError as error:
            raise FormatError(f"line {line_of(text, span.start)}: {shown(parts)}: {error.message}") from error
        text = text[: span.start] + token + text[span.end :]
    return text


def _verify(using: Format, expected: Any, after: str) -> None:
    try:
        outcome = _parsed(using, after)
    except FormatError as error:
        raise FormatError(f"The change would break the file ({error.message}); it is left alone.") from error
    if not same(outcome, expected):
        raise FormatError("The file, changed and read again, does not say what was wanted; it is left alone.")
