"""Text for a terminal: facts, values and durations in few words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from signals.terminal import clean, clean_json, clean_lines, json_line

__all__ = ["clean", "clean_json", "clean_lines", "json_line", "key_facts", "seconds_text", "shorten", "value_text"]

_PLAIN = re.compile(r"[^\s\"'=\[\]{},]+")
_SCANNED = 4000
FIRST = (
    "reason", "detail", "verdict", "capability_key", "intent_type", "file", "question", "module_name", "summary",
    "daemon", "state", "message", "text", "name", "consumer", "path",
)  # fmt: skip
LAST = ("id", "sha256", "evidence")


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` characters."""
    return text if len(text) <= width else f"{text[: max(width - 1, 0)].rstrip('…')}…"


def key_facts(facts: Any, room: int = 160) -> str:
    """The most telling facts as `key=value …` in about `room` characters; safe for a terminal."""
    if not isinstance(facts, Mapping):
        return shorten(value_text(facts, room), room)
    parts: list[str] = []
    for key in sorted(facts, key=_rank):
        left = room - sum(len(part) + 1 for part in parts)
        if left < 12:
            parts.append("…")
            break
        name = shorten(clean(key[:80]), 40)
        parts.append(f"{name}={value_text(facts[key], max(min(left - len(name) - 1, room * 2 // 3), 8))}")
    return " ".join(parts)


def value_text(value: Any, room: int) -> str:
    """One fact in at most `room` characters."""
    if isinstance(value, str):
        shown = clean(value[:_SCANNED])
        if _PLAIN.fullmatch(shown) and len(shown) <= room:
            return shown
        return f'"{shorten(shown, max(room - 2, 1))}"'
    if isinstance(value, Mapping):
        return "{}" if not value else shorten("{" + ", ".join(clean(key[:40]) for key in list(value)[:9]) + "}", room)
    if isinstance(value, list | tuple):
        return _list_text(value, room)
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    return clean(value)


def _list_text(items: list[Any] | tuple[Any, ...], room: int) -> str:
    whole = f"[{', '.join(value_text(item, 40) for item in items[:4])}]"
    if len(items) <= 4 and len(whole) <= min(room, 80):
        return whole
    return f"[{len(items)} item{'s' * (len(items) != 1)}]"


def _rank(key: str) -> tuple[int, int]:
    if key in FIRST:
        return 0, FIRST.index(key)
    return (2 if key.endswith("_id") or key.endswith("sha256") or key in LAST else 1), 0


def seconds_text(seconds: float) -> str:
    """A duration for people: `0.4 ms`, `12 ms`, `1.2 s`, `3 min 2 s`, `4 min`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 0.01:
        return f"{max(seconds, 0) * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for size, unit, below, smaller in ((60, "min", 1, "s"), (3600, "h", 60, "min"), (86400, "d", 3600, "h")):
        if seconds < size * (60 if size == 60 else 24) or size == 86400:
            rest = int(seconds % size // below)
            return f"{int(seconds // size)} {unit}" + (f" {rest} {smaller}" if rest else "")
    raise AssertionError("unreachable")
