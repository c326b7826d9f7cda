"""What came from outside may not steer the terminal on which it is shown. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson

# control characters, invisible and direction-changing ones, lone surrogates
_UNSAFE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\xad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"
    "\\ud800-\\udfff\\U000e0000-\\U000e007f]"
)
_STEERING = re.compile("[\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]")


def clean(text: object) -> str:
    """One line in which every character that could steer a terminal is shown as an escape."""
    return _UNSAFE.sub(lambda found: ascii(found.group())[1:-1], str(text))


def clean_lines(text: object) -> str:
    """The same, keeping the line breaks."""
    return "\n".join(clean(line) for line in str(text).split("\n"))


def clean_json(raw: bytes) -> bytes:
    """The same JSON, with the characters that it leaves bare and terminals obey written as `\\u` escapes."""
    text = raw.decode()
    return raw if text.isascii() and "\x7f" not in text else _STEERING.sub(_escaped, text).encode()


def json_line(thing: Any) -> bytes:
    """A thing as JSON on one line that is safe for a terminal, without the line break."""
    return clean_json(orjson.dumps(thing))


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"
