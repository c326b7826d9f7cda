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
    """All places, in the order in which a name is looked for; `missing` are roots that are not there, or closed."""

    every: tuple[Place, ...]
    library: bool
    missing: tuple[str, ...] = ()

    @classmethod
    def of(cls, roots: Iterable[str], interpreter_library: bool) -> Places:
        """A link to a root is followed once, here."""
        there = {root: os.path.isdir(root) for root in roots}
        wanted = [Place(real_path(root), "root") for root, is_there in there.items() if is_there]
        wanted += [Place(real_path(path), "library") for path in library_paths()] if interpreter_library else []
        kept: dict[Path, Place] = {}
        for place in wanted:
            if os.path.isdir(place.path):
                kept.setdefault(place.path, place)
        missing = tuple(root for root, is_there in there.items() if not is_there)
        return cls(tuple(kept.values()), interpreter_library, missing)

    def have_changed(self) -> bool:
        """Whether one has come or gone since."""
        return any(map(os.path.isdir, self.missing)) or not all(os.path.isdir(place.path) for place in self.every)

    def holding(self, real: Path) -> Place | None:
        """The deepest place that a real path is in; None when it is in none."""
        inside = [place for place in self.every if real == place.path or place.path in real.parents]
        return max(inside, key=lambda place: len(place.path.parts), default=None)

    def told(self) -> str:
        """The places as a person reads them."""
        places = ", ".join(str(place.path) for place in self.every)
        missing = f"not there, or not granted: {', '.join(self.missing)}" if self.missing else ""
        return "; ".join(filter(None, (places, missing))) or "nowhere: no root is configured"


def library_paths() -> list[str]:
    """The running interpreter's standard library and site-packages; `sys.path` is not trusted."""
    paths = sysconfig.get_paths()
    compiled = sysconfig.get_config_var("DESTSHARED") or os.path.join(paths["stdlib"], "lib-dynload")
    return list(dict.fromkeys([paths["stdlib"], str(compiled), paths["purelib"], paths["platlib"]]))


def real_path(path: str | Path) -> Path:
    """Where a path really leads; what does not exist is taken as it is written."""
    return Path(os.path.realpath(path))


def closed_on_the_way(path: Path) -> Path | None:
    """The first folder on the way to a path that we may not look into."""
    folders = (folder for folder in reversed(path.parents) if os.path.isdir(folder))
    return next((folder for folder in folders if not os.access(folder, os.X_OK, effective_ids=True)), None)


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
