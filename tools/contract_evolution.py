"""Whether a contract still means what its past versions meant: nothing narrows, goes or changes type.

Descriptions, examples and new optional properties may change freely.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

UPPER = ("maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum")
LOWER = ("minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum")
UNCHANGED = (
    "type", "$ref", "anyOf", "oneOf", "allOf", "not", "if", "then", "else", "prefixItems", "contains",
    "propertyNames", "patternProperties", "dependentRequired", "multipleOf",
)  # fmt: skip
OWN_UNCHANGED = ("kind", "version", "delivery")


def narrowings(old: Document, new: Document) -> list[str]:
    """What in `new` breaks with `old`, each as `place: what`; empty when all is well."""
    own_old, own_new = old.get("x-ligand", {}), new.get("x-ligand", {})
    own = [
        f"$.x-ligand.{key}: changed from {own_old.get(key)} to {own_new.get(key)}"
        for key in OWN_UNCHANGED
        if own_old.get(key) != own_new.get(key)
    ]
    return own + list(_compare(old, new, "$"))


def _compare(old: Document, new: Document, place: str) -> Iterator[str]:
    for key in UNCHANGED:
        if _bare(old.get(key)) != _bare(new.get(key)):
            yield f"{place}.{key}: changed"
    yield from _bounds(old, new, place)
    yield from _values(old, new, place)
    yield from _fields(old, new, place)
    for key in ("items", "additionalProperties"):
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            yield from _compare(old[key], new[key], f"{place}.{key}")


def _bounds(old: Document, new: Document, place: str) -> Iterator[str]:
    for keys, tighter in ((UPPER, min), (LOWER, max)):
        for key in keys:
            if key in new and (key not in old or tighter(old[key], new[key]) != old[key]):
                yield f"{place}.{key}: tightened from {old.get(key, 'none')} to {new[key]}"


def _values(old: Document, new: Document, place: str) -> Iterator[str]:
    if "enum" in new:
        gone = [value for value in old.get("enum", []) if value not in new["enum"]]
        if gone or "enum" not in old:
            yield f"{place}.enum: values removed: {gone or 'all others'}"
    for key in ("pattern", "const", "uniqueItems"):
        if new.get(key) and new[key] != old.get(key):
            yield f"{place}.{key}: added or changed"


def _fields(old: Document, new: Document, place: str) -> Iterator[str]:
    for name in sorted(set(new.get("required", [])) - set(old.get("required", []))):
        yield f"{place}.required: {name} was added"
    if new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
        yield f"{place}.additionalProperties: closed"
    for group in ("properties", "$defs"):
        now = new.get(group, {})
        for name, inner in old.get(group, {}).items():
            if name not in now:
                yield f"{place}.{group}.{name}: removed"
            else:
                yield from _compare(inner, now[name], f"{place}.{group}.{name}")


def _bare(part: Any) -> Any:
    """A part without its words, which may change."""
    if isinstance(part, dict):
        return {key: _bare(value) for key, value in part.items() if key != "description"}
    return [_bare(value) for value in part] if isinstance(part, list) else part
