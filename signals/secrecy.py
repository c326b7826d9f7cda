"""Where a contract marks facts `x-secret`: the paths to mask, and marks that no path leads to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

Document = dict[str, Any]
Path = tuple[str, ...]
ANY = "*"
"""The step of a path that stands for every item of a list and every key of an object."""
_BELOW = ("items", "contains", "unevaluatedItems", "additionalProperties", "unevaluatedProperties")
_HERE = ("if", "then", "else")
ASIDE = ("not", "propertyNames", "contentSchema")
"""What these hold speaks of no facts that a path could lead to."""


class Marks:
    """The marks of one contract: `paths` lead to them; `reached` are the marked parts (by `id`) and what they hold.

    `endless`: a part that refers to itself holds one, so that no number of paths would do.
    """

    def __init__(self, document: Document) -> None:
        self.paths: dict[Path, None] = {}
        self.reached: set[int] = set()
        self.endless = False
        self._document = document
        self._walk(document, (), ())

    def _walk(self, part: Any, steps: Path, refs: Path) -> None:
        if not isinstance(part, dict):
            return
        if steps and part.get("x-secret"):
            self.paths[steps] = None
            self.reached.update(map(id, _dicts(part)))
            return
        for inner, further in inner_parts(part):
            self._walk(inner, (*steps, *further), refs)
        if isinstance(ref := part.get("$ref"), str):
            self._refer(ref, steps, refs)

    def _refer(self, ref: str, steps: Path, refs: Path) -> None:
        target = resolved(self._document, ref)
        if ref in refs:
            self.endless |= any(part.get("x-secret") for part in _dicts(target))
        else:
            self._walk(target, steps, (*refs, ref))


def secret_paths(document: Document) -> Iterator[Path]:
    """Paths of keys to what is marked `x-secret`; `"*"` stands for every item of a list and every key of an object."""
    return iter(Marks(document).paths)


def holds_secret(document: Document, part: Any) -> bool:
    """Whether anything in a part, or in what it refers to, is marked."""
    waiting, seen = [part], set[int]()
    while waiting:
        for each in _dicts(waiting.pop()):
            if each.get("x-secret"):
                return True
            if isinstance(ref := each.get("$ref"), str) and id(target := resolved(document, ref)) not in seen:
                seen.add(id(target))
                waiting.append(target)
    return False


def inner_parts(part: Document) -> Iterator[tuple[Any, Path]]:
    """The schemas directly within one, and the steps from the facts of this one to the facts of theirs."""
    for name, inner in _values(part.get("properties")):
        yield inner, (name,)
    for _, inner in _values(part.get("patternProperties")):
        yield inner, (ANY,)
    for inner in _list(part.get("prefixItems")):
        yield inner, (ANY,)
    for key in _BELOW:
        yield part.get(key), (ANY,)
    for key in ("anyOf", "oneOf", "allOf"):
        for inner in _list(part.get(key)):
            yield inner, ()
    for _, inner in _values(part.get("dependentSchemas")):
        yield inner, ()
    for key in _HERE:
        yield part.get(key), ()


def resolved(document: Document, ref: str) -> Any:
    """What a reference within the document means; None for what is not there, or is named by an anchor."""
    if ref not in ("", "#") and not ref.startswith("#/"):
        return None
    found: Any = document
    for step in unquote(ref).removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = found[int(key)] if key.isdecimal() and int(key) < len(found) else None
        else:
            found = found.get(key) if isinstance(found, dict) else None
    return found


def _dicts(value: Any) -> Iterator[Document]:
    """A value and all within it that is an object."""
    if isinstance(value, dict):
        yield value
    inner: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from _dicts(each)


def _values(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, dict) else ()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
