"""What became of paths, from what was there and what is there now. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["created", "modified", "deleted", "moved"]


class Known(Protocol):
    """What is known of a path's state; two of the same state are equal."""

    @property
    def inode(self) -> int:
        """Which file it is, whatever its name."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change, net of all that happened in between."""

    path: str
    kind: Kind
    is_folder: bool
    previous: str | None = None


def changes(states: Mapping[str, tuple[Known | None, Known | None]]) -> list[Change]:
    """The changes of paths given (before, now), in the order of paths.

    What went from one path to another is one change. Of a folder that came, went or moved with all in it only the
    folder itself is told.
    """
    gone = {before.inode: path for path, (before, now) in states.items() if before and not now}
    found: dict[str, Change] = {}
    taken: set[str] = set()
    for path, (before, now) in sorted(states.items()):
        if now is not None and before is None:
            previous = gone.get(now.inode)
            if previous is not None:
                taken.add(previous)
            found[path] = Change(path, "moved" if previous else "created", now.is_folder, previous)
        elif before is not None and now is not None and before != now:
            found[path] = Change(path, "modified", now.is_folder)
        elif before is not None and now is None:
            found[path] = Change(path, "deleted", before.is_folder)
    whole = {path for path, change in found.items() if change.is_folder and change.kind != "modified"} | taken
    return [change for path, change in found.items() if path not in taken and whole.isdisjoint(_above(path))]


def _above(path: str) -> Iterator[str]:
    """The folders above a path."""
    folder = os.path.dirname(path)
    while len(folder) > 1:
        yield folder
        folder = os.path.dirname(folder)
