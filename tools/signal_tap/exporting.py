"""Signals for other programs: CSV, CloudEvents, chosen fields. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from signals.errors import UsageError
from tools.signal_tap.conditions import ABSENT, checked_path, plain, value_at
from tools.text import clean

Path = tuple[str, ...]
COLUMNS: tuple[Path, ...] = tuple(
    (name,)
    for name in ("seq", "received_at", "signal", "source", "id", "correlation_id", "causation_id", "taint", "facts")
)
SPEC_VERSION = "1.0"


def fields_of(text: str | None) -> tuple[Path, ...]:
    """Read `--fields a.b,c`. Raises `UsageError`."""
    if text is None:
        return ()
    paths = [part.strip() for part in text.split(",") if part.strip()]
    if not paths:
        raise UsageError("--fields takes names such as seq,signal,facts.text")
    return tuple(checked_path(path.split("."), path) for path in paths)


def pruned(envelope: Mapping[str, Any], fields: Iterable[Path]) -> dict[str, Any]:
    """Only these fields of an envelope, each in its place; what is not there stays away."""
    found: dict[str, Any] = {}
    for path in fields:
        value = value_at(envelope, path)
        if value is ABSENT:
            continue
        inner = found
        for step in path[:-1]:
            inner = inner.setdefault(step, {}) if isinstance(inner.get(step, {}), dict) else {}
        inner[path[-1]] = value
    return found


def cell(value: Any) -> str:
    """A value as one safe line of text; nothing for one that is not there."""
    return "" if value is ABSENT or value is None else clean(plain(value))


def csv_line(cells: Iterable[str]) -> bytes:
    """One line of RFC 4180, without its end."""
    return ",".join(_quoted(text) for text in cells).encode()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"') else text


def cloudevent(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """A CloudEvent 1.0 (JSON format; the extensions `sequence` and `expirytime` as the specification names them)."""
    event: dict[str, Any] = {
        "specversion": SPEC_VERSION,
        "id": envelope.get("id"),
        "source": f"//{quote(str(envelope.get('host')))}/ligand/{quote(str(envelope.get('source')), safe='@')}",
        "type": envelope.get("signal"),
        "time": envelope.get("timestamp"),
        "datacontenttype": "application/json",
    }
    extensions = {
        "sequence": f"{envelope['seq']:020d}" if isinstance(envelope.get("seq"), int) else None,
        "expirytime": envelope.get("expires_at"),
        "correlationid": envelope.get("correlation_id"),
        "causationid": envelope.get("causation_id"),
        "hops": envelope.get("hops"),
        "contractversion": envelope.get("version"),
        "taint": ",".join(map(str, envelope.get("taint") or ())) or None,
    }
    event |= {name: value for name, value in extensions.items() if value is not None}
    return event | {"data": envelope.get("facts")}
