"""Where modules may be looked for, and opening what is there.

Nothing outside a place is ever opened: a path is opened component by component without following links, so that a link
set in between leads nowhere.
"""

from __future__ import annotations

import os
import stat
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that modules are importable from: a configured root, or part of the library."""

    path: Path
    kind: Literal["root", "library"]


@dataclass(frozen=True, slots=True)
class Places:
    """All places, in the order in which a name is looked for."""

    every: tuple[Place, ...]
    library: bool

    @classmethod
    def of(cls, roots: Iterable[str], interpreter_library: bool) -> Places:
        """Roots that do not exist are left out; a link to a root is followed once, here."""
        wanted = [Place(real_path(root), "root") for root in roots]
        wanted += [Place(real_path(path), "library") for path in library_paths()] if interpreter_library else []
        kept: dict[Path, Place] = {}
        for place in wanted:
            if place.path.is_dir():
                kept.setdefault(place.path, place)
        return cls(tuple(kept.values()), interpreter_library)

    def holding(self, real: Path) -> Place | None:
        """The deepest place that a real path is in; None when it is in none."""
        inside = [place for place in self.every if real == place.path or place.path in real.parents]
        return max(inside, key=lambda place: len(place.path.parts), default=None)

    def told(self) -> str:
        """The places as a person reads them."""
        return ", ".join(str(place.path) for place in self.every) or "nowhere: no root is configured"


def library_paths() -> list[str]:
    """The running interpreter's standard library and site-packages; `sys.path` is not trusted."""
    paths = sysconfig.get_paths()
    compiled = sysconfig.get_config_var("DESTSHARED") or os.path.join(paths["stdlib"], "lib-dynload")
    return list(dict.fromkeys([paths["stdlib"], str(compiled), paths["purelib"], paths["platlib"]]))


def real_path(path: str | Path) -> Path:
    """Where a path really leads; what does not exist is taken as it is written."""
    return Path(os.path.realpath(path))


def open_beneath(place: Path, parts: Sequence[str]) -> int:
    """Open a file or folder beneath a place, following no link. Raises OSError; the caller closes."""
    handle = os.open(place, _OPEN | os.O_DIRECTORY)
    for part in parts:
        try:
            deeper = os.open(part, _OPEN, dir_fd=handle)
        finally:
            os.close(handle)
        handle = deeper
    return handle


def read_beneath(place: Path, parts: Sequence[str], limit: int) -> bytes:
    """A regular file's bytes, at most `limit` + 1 of them, so that the caller sees that there are more."""
    handle = open_beneath(place, parts)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)  # of a folder no stream can be made that would close it
        raise OSError(f"{'/'.join(parts) or place} is not a regular file")
    with os.fdopen(handle, "rb") as stream:
        return stream.read(limit + 1)
