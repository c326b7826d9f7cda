"""One log line as text: JSON for journald, words for people."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_PRIORITY = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
_PLAIN = re.compile(r"[!-~]+")
_CONTROL = re.compile(r"[^\t\x20-\x7e\xa0-\U0010ffff]")


def render_json(_logger: object, _method: str, event: Any) -> str:
    """`<6>{"level":…}`: journald takes the priority off the front, what it stores is JSON."""
    try:
        text = orjson.dumps(event, default=str).decode()
    except (TypeError, ValueError):  # a lone surrogate or a huge integer: still a line
        text = json.dumps(event, default=str)
    return f"<{_PRIORITY.get(event['level'], 6)}>{text}"


def render_text(_logger: object, _method: str, event: Any) -> str:
    """`time level daemon action key=value …`, a traceback on indented lines below."""
    fields = dict(event)
    traceback = fields.pop("exception", None)
    stamp, level, daemon = fields.pop("timestamp", ""), fields.pop("level"), fields.pop("daemon")
    head = f"{stamp} {level:<7} {daemon} {_safe(fields.pop('action'))}".lstrip()
    line = " ".join([head, *(f"{key}={_value(value)}" for key, value in fields.items())])
    if traceback is None:
        return line
    return "\n    ".join([line, *(_safe(part) for part in str(traceback).splitlines())])


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    # quoted where it could be misread, and nothing from outside may steer a terminal
    return text if _PLAIN.fullmatch(text) and '"' not in text else _quoted(text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{_safe(escaped)}"'


def _safe(text: object) -> str:
    return _CONTROL.sub(lambda found: ascii(found.group())[1:-1], str(text))
