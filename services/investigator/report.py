"""What is read of a module, as data: its interface, what an answer rests on, and all of it together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MAX_EXCERPT = 8_000


@dataclass(frozen=True, slots=True)
class Item:
    """One public function or class: `signature` begins with its name, `origin` is where it is defined."""

    name: str
    kind: Literal["function", "class"]
    signature: str
    doc: str
    origin: str


@dataclass(frozen=True, slots=True)
class Interface:
    """What a module offers; `declares_public` tells whether it has an `__all__`."""

    docstring: str
    items: tuple[Item, ...]
    declares_public: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that an answer rests on; `text` is what a model may be shown of it."""

    kind: str
    ref: str
    sha256: str | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was read of one module, ready to be put into words."""

    name: str
    path: str
    kind: str
    has_init: bool
    interface: Interface
    py_files: int
    lines: int
    size: int
    imports: frozenset[str]
    entry_points: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    readme: str | None = None
    readme_says: str = ""
    broken: Mapping[str, str] = field(default_factory=dict)
    top_broken: bool = False
    links: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    cut: str | None = None
    evidence: tuple[Evidence, ...] = ()
    digest: str | None = None
