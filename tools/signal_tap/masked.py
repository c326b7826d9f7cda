"""Contracts for recordings: masks fit wherever secrets were, whatever those facts else must be. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

from signals.catalogue import Catalogue
from signals.judging import subschemas
from signals.masking import MASK
from signals.secrecy import ANY, inner_parts, resolved

Document = dict[str, Any]
Path = tuple[str, ...]
REFUSED = {"facts": [], "why": "facts are an object"}
"""A counter-example that none of them accepts: one of the contract's own may hold the mask."""


def admitting(document: Document, paths: Iterable[Path]) -> Document:
    """A copy of a contract's document that what it accepts also fits with the mask at each of the paths.

    Where a rule weighs what only the secret itself could answer (a condition, an alternative that excludes another,
    what must be unique or not be), it is left out or widened. It expects nothing where the seconds of its deadline
    are secret: a mask is no number to count with.
    """
    copy, paths = deepcopy(document), tuple(paths)
    _share_referred(copy)
    _Widening(copy, paths).run()
    copy["x-ligand"]["counter_examples"] = [REFUSED]
    within = copy["x-ligand"].get("expects", {}).get("within_s")
    if isinstance(within, dict) and any(_meets(path, (within.get("fact", ANY),)) for path in paths):
        del copy["x-ligand"]["expects"]
    return copy


def of_recordings(catalogue: Catalogue) -> Catalogue:
    """The contracts that facts of a recording have to fit."""
    paths = secrets_of(catalogue)
    return Catalogue.of(
        replace(each, schema=admitting(each.schema, paths[each.name])) if paths[each.name] else each
        for each in catalogue.versions.values()
    )


def secrets_of(catalogue: Catalogue) -> defaultdict[str, list[Path]]:
    """The paths that are masked by the signal's name: those of each of its versions, for so they are shown."""
    paths: defaultdict[str, list[Path]] = defaultdict(list)
    for contract in catalogue.versions.values():
        paths[contract.name] += contract.secrets
    return paths


def _share_referred(document: Document) -> None:
    """Let each reference lead to `$defs`, so that it still leads there when parts are put into others."""
    names: dict[str, str] = {}
    for _, part in list(subschemas(document)):
        ref = part.get("$ref", "#")
        if ref != "#" and (target := resolved(document, ref)) is not None:
            name = names.setdefault(ref, f"_referred_{len(names)}")
            document.setdefault("$defs", {})[name] = {"allOf": [target]}
            part["$ref"] = f"#/$defs/{name}"


class _Widening:
    """What has to be widened in a document, and how. Parts that are the same object are widened once, for all."""

    def __init__(self, document: Document, paths: tuple[Path, ...]) -> None:
        self._document = document
        self._paths = paths
        self._seen: set[tuple[int, Path]] = set()
        self._replaced: dict[int, Document] = {}
        self._above: list[tuple[Document, Path]] = []

    def run(self) -> None:
        """Widen. All is found before anything is changed."""
        self._find(self._document, ())
        rules = {
            (id(part), key): part for part, steps in self._above for key in _RULES if self._weighs(key, part, steps)
        }
        for (_, key), part in rules.items():
            _RULES[key](part)
        for part in self._replaced.values():
            _admit_mask(part)

    def _find(self, part: Any, steps: Path) -> None:
        if not isinstance(part, dict) or (id(part), steps) in self._seen or not self._is_above(steps):
            return
        self._seen.add((id(part), steps))
        self._above.append((part, steps))
        for inner, further in self._within(part):
            if further and isinstance(inner, dict) and self._is_masked((*steps, *further)):
                self._replaced[id(inner)] = inner
            self._find(inner, (*steps, *further))

    def _within(self, part: Document) -> Iterator[tuple[Any, Path]]:
        yield from inner_parts(part)
        if "$ref" in part:
            yield resolved(self._document, part["$ref"]), ()

    def _weighs(self, key: str, part: Document, steps: Path) -> bool:
        """Whether the verdict of a rule could be another one when secrets below are masked."""
        if key not in part or key in ("const", "enum"):
            return key in part
        if key in ("uniqueItems", "maxContains"):
            return any(len(path) > len(steps) and _meets(path, (*steps, ANY)) for path in self._paths)
        parts = part[key] if key == "oneOf" else [part[key]]
        return any(self._looks_at_secret(each, steps, frozenset()) for each in parts)

    def _looks_at_secret(self, part: Any, steps: Path, within: frozenset[tuple[int, Path]]) -> bool:
        if not isinstance(part, dict) or not self._is_above(steps) or (id(part), steps) in within:
            return False
        within |= {(id(part), steps)}
        if {"const", "enum", "uniqueItems", "maxContains"} & part.keys():
            return True
        inner = (*self._within(part), (part.get("not"), ()))
        return any(
            (further and self._is_masked((*steps, *further))) or self._looks_at_secret(each, (*steps, *further), within)
            for each, further in inner
            if each is not None
        )

    def _is_masked(self, steps: Path) -> bool:
        return any(len(path) == len(steps) and _meets(path, steps) for path in self._paths)

    def _is_above(self, steps: Path) -> bool:
        return any(len(path) > len(steps) and _meets(path, steps) for path in self._paths)


def _meets(path: Path, steps: Path) -> bool:
    """Whether both can lead to the same fact, as far as both go."""
    return all(a == b or ANY in (a, b) for a, b in zip(path, steps, strict=False))


def _admit_mask(part: Document) -> None:
    inner = {key: value for key, value in part.items() if key != "x-secret"}
    marked: Document = {key: part[key] for key in ("description", "x-secret") if key in part}
    part.clear()
    part.update(marked, anyOf=[inner, {"const": MASK}])


def _any_branch(part: Document) -> None:
    _also(part, part.pop("oneOf"))


def _either_way(part: Document) -> None:
    """Annotations of the condition are kept: `unevaluatedProperties` asks for them."""
    condition = part.pop("if")
    _also(part, [{"allOf": [condition, part.pop("then", True)]}, part.pop("else", True)])


def _also(part: Document, branches: list[Any]) -> None:
    part["allOf"] = [*part.get("allOf", ()), {"anyOf": branches}]


_RULES = {
    "oneOf": _any_branch,
    "if": _either_way,
    **{
        key: lambda part, key=key: part.pop(key)  # type: ignore[misc]
        for key in ("not", "const", "enum", "uniqueItems", "maxContains")
    },
}
