"""What all formats share: trees of plain values, ways into them, and where in a text a value stands."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from signals.errors import LigandError

Scalar = str | int | float | bool | None
Parts = tuple[str, ...]
SCALARS = (str, int, float, bool, type(None))
MAX_BYTES = 1 << 20
MAX_TEXT = 4096


class FormatError(LigandError):
    """The file is not what its format says, or a value in it cannot be changed without touching anything else."""

    code: ClassVar[str] = "format"


@dataclass(frozen=True, slots=True)
class Span:
    """The characters of a text in which one value stands, from `start` up to `end`."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """What stands there."""
        return text[self.start : self.end]


class Format(Protocol):
    """One way of writing values down; a module is one. `text` has no byte order mark."""

    def parse(self, text: str) -> Any:
        """The whole text as mappings, lists and scalars. Raises `FormatError` with the line."""

    def locate(self, text: str, parts: Parts) -> Span:
        """Where the value stands. Raises `FormatError` for one that cannot be changed by itself."""

    def written(self, value: Scalar, present: str) -> str:
        """A value as it is written in place of `present`, whose quotes are kept where they can be."""


def parts_of(key: str) -> Parts:
    r"""The parts of a dotted key: `a.b` is b in a, `a\.b` is one name with a dot in it. Raises `FormatError`."""
    parts = tuple(re.sub(r"\\(.)", r"\1", part) for part in re.findall(r"(?:[^.\\]|\\.)+", key))
    if not parts or ".".join(part.replace("\\", "\\\\").replace(".", "\\.") for part in parts) != key:
        raise FormatError(f"{key!r} is no dotted key, such as `embeddings.near`; write a dot within a name as \\.")
    return parts


def found(tree: Any, parts: Parts) -> Scalar:
    """The scalar at a place. Raises `FormatError` when there is none, or more than one value."""
    for nth, part in enumerate(parts):
        tree = _step(tree, part, parts[: nth + 1])
    if not isinstance(tree, SCALARS):
        raise FormatError(f"{shown(parts)} is no single text, number or truth value; name one beneath it.")
    scalar: Scalar = tree
    return scalar


def replaced(tree: Any, values: Mapping[Parts, Scalar]) -> Any:
    """A copy of a tree with other scalars at some places, which exist."""
    fresh = copy.deepcopy(tree)
    for parts, value in values.items():
        inner = fresh
        for nth, part in enumerate(parts[:-1]):
            inner = _step(inner, part, parts[: nth + 1])
        if isinstance(inner, list):
            inner[int(parts[-1])] = value
        else:
            inner[parts[-1]] = value
    return fresh


def _step(tree: Any, part: str, so_far: Parts) -> Any:
    if isinstance(tree, Mapping) and part in tree:
        return tree[part]
    if isinstance(tree, list) and part.isascii() and part.isdigit() and int(part) < len(tree):
        return tree[int(part)]
    raise FormatError(f"{shown(so_far)} does not stand in the file; write it there with the value that is in use now.")


def same(one: Any, other: Any) -> bool:
    """Whether two trees are equal in types too: 1, 1.0 and true differ, and one NaN is as good as another."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def shown(parts: Iterable[str]) -> str:
    """A place as a person writes it."""
    return ".".join(parts)


def line_of(text: str, position: int) -> int:
    """The line, from 1, in which a character stands."""
    return text.count("\n", 0, position) + 1


def decimal(value: float) -> str:
    """A float that every reader takes for one: with a point, and a sign before the exponent."""
    text = repr(value)
    return text if "." in text else text.replace("e", ".0e")
