"""Folders watched with inotify(7), and what was seen there, to compare with what is there now."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from inotify_simple import Event, INotify, flags

_MASK: Final[int] = (
    flags.CLOSE_WRITE
    | flags.CREATE
    | flags.DELETE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.DELETE_SELF
    | flags.MOVE_SELF
)
MAX_FILES = 100_000
MAX_IN_ALL = 200_000
PASSED_OVER = frozenset({errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENAMETOOLONG})
"""Why a folder beneath may not be listed, while the rest is watched."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one state of a file from another; of a folder only which one it is."""

    inode: int
    size: int
    changed_ns: int
    is_folder: bool

    @classmethod
    def of(cls, path: str) -> Stamp | None:
        """What is at a path, a link itself; None when there is nothing, or nothing that may be seen."""
        try:
            return cls.told(os.lstat(path))
        except OSError:
            return None

    @classmethod
    def told(cls, found: os.stat_result) -> Stamp:
        """What stat(2) has told."""
        is_folder = (found.st_mode & 0o170000) == 0o040000
        if is_folder:
            return cls(found.st_ino, 0, 0, True)
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, False)


@dataclass(slots=True)
class Tree:
    """A path that is watched: a file, or a folder with or without what is beneath.

    `files` is what was there last, empty while it could not be seen; `fault` says why, `is_too_much` whether it is for
    its size, and `again_at` is when to look again, in monotonic seconds.
    """

    path: str
    recursive: bool
    ignores: Callable[[str], bool]
    files: dict[str, Stamp] = field(default_factory=dict)
    fault: str = ""
    is_too_much: bool = False
    again_at: float = 0.0
    is_known: bool = False

    def walk(self, top: str | None = None) -> dict[str, Stamp]:
        """Everything there now, or at `top` and beneath. Raises OSError for the top itself, or when it is too much."""
        top = top or self.path
        found = {top: Stamp.told(os.lstat(top))}
        folders = [top] if found[top].is_folder else []
        while folders:
            folder = folders.pop()
            try:
                inner = self._listed(folder)
            except OSError as error:
                if folder == top or error.errno not in PASSED_OVER:
                    raise
                continue
            found |= inner
            if len(found) > MAX_FILES:
                raise OSError(errno.E2BIG, f"it holds more than {MAX_FILES:,} files")
            folders += [path for path, stamp in inner.items() if self.recursive and stamp.is_folder]
        return found

    def _listed(self, folder: str) -> dict[str, Stamp]:
        """What is right in a folder, no more than is too much. Raises OSError."""
        found: dict[str, Stamp] = {}
        with os.scandir(folder) as entries:
            for entry in islice(entries, MAX_FILES + 1):
                if not self.ignores(entry.path):
                    with suppress(FileNotFoundError):  # it has gone meanwhile
                        found[entry.path] = Stamp.told(entry.stat(follow_symlinks=False))
        return found

    def folders(self, there: dict[str, Stamp]) -> Iterator[str]:
        """The folders to watch: the one that holds it where it is a file."""
        if not there[self.path].is_folder:
            yield os.path.dirname(self.path)
        for path, stamp in there.items():
            if stamp.is_folder and (self.recursive or path == self.path):
                yield path

    def holds(self, path: str) -> bool:
        """Whether a path belongs to it."""
        if path == self.path:
            return True
        beneath = path.startswith(f"{self.path}/") if self.recursive else os.path.dirname(path) == self.path
        return beneath and not self.ignores(path)


class Watch:
    """The kernel's reports about folders."""

    def __init__(self) -> None:
        self._inotify: INotify | None = None
        self._folders: dict[int, str] = {}
        self._watched: set[str] = set()

    def add(self, folder: str) -> None:
        """Watch a folder too; one that is gone or closed to us is left out. Raises OSError when no watch is left."""
        if self._inotify is None:
            self._inotify = INotify(nonblocking=True)
        if folder in self._watched:
            return
        try:
            number = self._inotify.add_watch(folder, _MASK)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EACCES, errno.ENOTDIR):
                return
            raise
        self._watched.discard(self._folders.get(number, ""))  # the same folder, under its new name
        self._folders[number] = folder
        self._watched.add(folder)

    def read(self) -> tuple[set[str], bool]:
        """The paths that were reported since the last time, and whether reports were lost."""
        paths: set[str] = set()
        lost = False
        for event in self._inotify.read(timeout=0) if self._inotify is not None else []:
            lost = lost or bool(event.mask & flags.Q_OVERFLOW)
            if event.mask & flags.IGNORED:
                self._watched.discard(self._folders.pop(event.wd, ""))
            else:
                paths |= set(self._named(event))
        return paths, lost

    def _named(self, event: Event) -> Iterator[str]:
        folder = self._folders.get(event.wd)
        if folder is not None:
            yield f"{folder}/{event.name}" if event.name else folder
            if event.mask & flags.MOVE_SELF:  # it reports under a name that is no longer its own
                self._watched.discard(folder)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._inotify is not None:
            self._inotify.close()
        self._inotify, self._folders, self._watched = None, {}, set()


def advice(error: OSError) -> str:
    """Why the kernel does not report, and what a person can do."""
    words = {
        errno.ENOSPC: "no inotify watch is left: raise fs.inotify.max_user_watches",
        errno.EMFILE: "no inotify instance is left: raise fs.inotify.max_user_instances",
    }
    return words.get(error.errno or 0, f"inotify does not work: {error.strerror}")
