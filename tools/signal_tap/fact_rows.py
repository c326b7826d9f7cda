"""The facts of a contract as rows of a table, references followed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from signals.secrecy import ANY, resolved, secret_paths

Row = tuple[str, str, str, str]
Part = Mapping[str, Any]
Refs = frozenset[str]


def fact_rows(document: dict[str, Any]) -> Iterator[Row]:
    """(name, type, `required` or `secret`, description) of each fact, nested ones with their path."""
    return _rows(document, document, (), frozenset(secret_paths(document)), frozenset())


def _rows(
    document: dict[str, Any], part: Part, above: tuple[str, ...], secrets: frozenset[tuple[str, ...]], refs: Refs
) -> Iterator[Row]:
    required = set(part.get("required", ()))
    for name, given in (part.get("properties") or {}).items():
        if not isinstance(given, Mapping):
            continue
        one, further = _followed(document, given, refs)
        steps = (*above, name)
        marks = [word for word, holds in (("required", name in required), ("secret", steps in secrets)) if holds]
        yield _named(steps), _type(one), ", ".join(marks), str(one.get("description", ""))
        if isinstance(items := one.get("items"), Mapping):
            one, further = _followed(document, items, further)
            steps = (*steps, ANY)
        yield from _rows(document, one, steps, secrets, further)


def _followed(document: dict[str, Any], part: Part, refs: Refs) -> tuple[Part, Refs]:
    """A part with what it refers to put in, and the references on the way here; none is followed into itself."""
    while isinstance(ref := part.get("$ref"), str):
        target = resolved(document, ref) if ref not in refs else None
        beside = {key: value for key, value in part.items() if key != "$ref"}
        part, refs = {**(target if isinstance(target, Mapping) else {}), **beside}, refs | {ref}
    return part, refs


def _named(steps: tuple[str, ...]) -> str:
    return ".".join(steps).replace(f".{ANY}", "[]")


def _type(one: Part) -> str:
    if "enum" in one:
        return "|".join(str(value) for value in one["enum"])
    if "const" in one:
        return str(one["const"])
    kind = one.get("type", "any")
    return "|".join(kind) if isinstance(kind, list) else str(kind)
