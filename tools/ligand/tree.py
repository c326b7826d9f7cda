"""A walk through a tree of somebody else's files: no link is followed, and depth costs neither descriptor nor stack."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.ligand.layout import InstallError
from tools.text import clean

_HOLD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Entry:
    """One open file or folder; `uid` and `gid` are its owner's. `known`: what a visitor wants its contents to find."""

    descriptor: int
    parent: Entry | None
    status: os.stat_result
    uid: int
    gid: int
    known: dict[str, Any] = field(default_factory=dict)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def path(self) -> str:
        """What the kernel takes for this very file, whatever has its name by now."""
        return f"/proc/self/fd/{self.descriptor}"

    @property
    def name(self) -> str:
        """Where it is, for a person, while it is open."""
        return _shown(self.descriptor)

    def outside_of(self, user: int) -> Entry:
        """It, or the nearest folder around it, that is not that user's; else the outermost that was walked."""
        one = self
        while one.uid == user and one.parent is not None:
            one = one.parent
        return one


@contextmanager
def held(path: Path) -> Iterator[int]:
    """A descriptor of an absolute path of which no component is a link. Raises `InstallError`."""
    found = _reached(path)
    try:
        yield found
    finally:
        os.close(found)


def walk(top: int, wrong: Callable[[str], None]) -> Iterator[Entry]:
    """`top` and everything beneath that is no link, a folder before what is in it; open until the next is asked for.

    What cannot be looked into is told to `wrong`, and the rest is walked. Two descriptors are open at a time, whatever
    the depth: the way up is `..`, and has to lead to where the way down came from. Raises `InstallError` where it does
    not, and `OSError`.
    """
    here = os.dup(top)
    entry = _entry(here, None)
    try:
        levels = [(entry, (yield from _visited(entry, wrong)))]
        while levels:
            folder, names = levels[-1]
            if names:
                inner = _opened(names.pop(), here, folder, wrong)
                inside = (yield from _inside(inner, wrong)) if inner else []
                if inner and inside:
                    here = _moved(here, inner.descriptor)
                    levels.append((inner, inside))
                continue
            levels.pop()
            if levels:
                here = _moved(here, os.open("..", _HOLD, dir_fd=here))
                _require(here, levels[-1][0])
    finally:
        os.close(here)


def _reached(path: Path) -> int:
    here = os.open("/", _HOLD)
    try:
        for part in path.parts[1:]:
            here = _moved(here, os.open(part, _HOLD, dir_fd=here))
            if stat.S_ISLNK(os.fstat(here).st_mode):
                raise InstallError(f"{path} has become a link ({part}); nothing was done to it. Look who changes it.")
    except (OSError, InstallError) as error:
        os.close(here)
        if isinstance(error, InstallError):
            raise
        raise InstallError(f"{path}: {error.strerror}.") from error
    return here


def _visited(entry: Entry, wrong: Callable[[str], None]) -> Generator[Entry, None, list[str]]:
    """What is in it, looked up only after the visit: what is made later has what the visitor gave the folder."""
    yield entry
    return _names(entry, wrong)


def _inside(entry: Entry, wrong: Callable[[str], None]) -> Generator[Entry, None, list[str]]:
    """Like `_visited`; it stays open only where something is in it."""
    found: list[str] = []
    try:
        found = yield from _visited(entry, wrong)
    finally:
        if not found:
            os.close(entry.descriptor)
    return found


def _moved(here: int, there: int) -> int:
    os.close(here)
    return there


def _entry(descriptor: int, parent: Entry | None) -> Entry:
    found = os.fstat(descriptor)
    return Entry(descriptor, parent, found, found.st_uid, found.st_gid)


def _opened(name: str, here: int, folder: Entry, wrong: Callable[[str], None]) -> Entry | None:
    """What is there by that name; None for a link, for what has gone meanwhile, and for what cannot be opened."""
    try:
        descriptor = os.open(name, _HOLD, dir_fd=here)
    except FileNotFoundError:
        return None
    except OSError as error:
        wrong(f"{_shown(here, name)}: {error.strerror}")
        return None
    entry = _entry(descriptor, folder)
    if stat.S_ISLNK(entry.status.st_mode):
        os.close(descriptor)
        return None
    return entry


def _names(entry: Entry, wrong: Callable[[str], None]) -> list[str]:
    """What is in a folder; nothing is in a file."""
    if not entry.is_folder:
        return []
    try:
        readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=entry.descriptor)
        try:
            return os.listdir(readable)
        finally:
            os.close(readable)
    except OSError as error:
        wrong(f"{entry.name}: {error.strerror}")
        return []


def _require(here: int, expected: Entry) -> None:
    """Raise `InstallError` unless the way up has led to where the way down came from."""
    found = os.fstat(here)
    if (found.st_dev, found.st_ino) != (expected.status.st_dev, expected.status.st_ino):
        raise InstallError(f"A folder was moved to {_shown(here)} meanwhile. Run it again.")


def _shown(descriptor: int, name: str = "") -> str:
    """For a person: whoever names the file must not steer the terminal of who reads it."""
    try:
        return clean(os.path.join(os.readlink(f"/proc/self/fd/{descriptor}"), name).rstrip("/"))
    except OSError:
        return f"{clean(name)} somewhere deeper than a path can be long".lstrip()
