"""Facts as they are typed: `key=text`, `nested.key:=json`, or JSON from standard input. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from signals.envelope import load
from signals.errors import MalformedError, UsageError

_ASSIGNMENT = re.compile(r"(?P<path>[^=:\s][^=:]*?)(?P<kind>:=|=)(?P<value>.*)", re.DOTALL)
Facts = dict[str, Any]


def facts_of(assignments: Iterable[str]) -> Facts:
    """The facts that the assignments spell. Raises `UsageError`."""
    facts: Facts = {}
    for text in assignments:
        found = _ASSIGNMENT.fullmatch(text)
        if not _is_unicode(text):
            raise UsageError(f"{text[:80]!r} is not UTF-8; a signal's texts are.")
        if found is None:
            raise UsageError(
                f"{text[:80]!r} sets nothing. Write key=text, or key:=json for numbers, lists and the like."
            )
        value = found["value"] if found["kind"] == "=" else _json(found["path"], found["value"])
        _set(facts, found["path"].split("."), value, text)
    return facts


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _json(path: str, text: str) -> Any:
    try:
        found = load(b'{"value":' + text.encode() + b"}")
    except MalformedError as error:
        raise _no_json(path, text) from error
    if set(found) != {"value"}:
        raise _no_json(path, text)
    return found["value"]


def _no_json(path: str, text: str) -> UsageError:
    return UsageError(f"{path}:= takes JSON, which {text[:80]!r} is not. For text write {path}={text[:80]}")


def _set(facts: Facts, path: list[str], value: Any, text: str) -> None:
    for step in path[:-1]:
        inner = facts.setdefault(step, {})
        if not isinstance(inner, dict):
            raise UsageError(f"{text[:80]!r}: {step} already has a value of its own.")
        facts = inner
    if not all(path):
        raise UsageError(f"{text[:80]!r}: a part of the key is empty.")
    if path[-1] in facts:
        raise UsageError(f"{text[:80]!r}: {path[-1]} is set twice.")
    facts[path[-1]] = value


def facts_in(text: bytes) -> list[Facts]:
    """The facts in a text: one JSON object, or one a line. Raises `UsageError`."""
    try:
        return [load(text, len(text))]
    except MalformedError as whole:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2 or not all(line.lstrip().startswith(b"{") for _, line in lines):
            raise UsageError(f"Standard input holds no JSON object: {whole.message}") from whole
        return [_line(number, line) for number, line in lines]


def _line(number: int, line: bytes) -> Facts:
    try:
        return load(line, len(line))
    except MalformedError as error:
        raise UsageError(f"Standard input, line {number}: {error.message}") from error
