"""The file systems of this machine that can fill up, as `/proc/self/mountinfo` lists them (proc(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_ALSO = frozenset({"zfs", "bcachefs"})  # their sources are no paths of devices
_FIXED = frozenset({"squashfs", "iso9660", "erofs", "udf", "romfs", "cramfs"})  # full by nature
_ESCAPED = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system at its shortest place; `device` is major and minor as in `st_dev`."""

    place: str
    source: str
    device: tuple[int, int]

    def is_seen(self) -> bool:
        """Whether the place shows this file system, and not something that was mounted over it. Raises OSError."""
        found = os.stat(self.place)
        return (os.major(found.st_dev), os.minor(found.st_dev)) == self.device


@dataclass(frozen=True, slots=True)
class Room:
    """Shares in percent, free bytes."""

    used: float
    inodes_used: float
    free: int

    @classmethod
    def of(cls, place: str) -> Room:
        """The room at a place, as df(1) counts it. Raises OSError."""
        found = os.statvfs(place)
        taken = found.f_blocks - found.f_bfree
        inodes = 100 * (1 - found.f_ffree / found.f_files) if found.f_files else 0.0
        reach = taken + found.f_bavail
        return cls(100 * taken / reach if reach else 0.0, inodes, found.f_bavail * found.f_frsize)


def mounts(text: bytes) -> list[Mount]:
    """Each writable file system on a device once, in the order of places."""
    found: dict[str, Mount] = {}
    for mount in sorted(_parsed(text.splitlines()), key=lambda mount: len(mount.place)):
        found.setdefault(mount.source, mount)
    return sorted(found.values(), key=lambda mount: mount.place)


def _parsed(lines: Iterable[bytes]) -> Iterator[Mount]:
    for line in lines:
        left, _, right = line.partition(b" - ")
        fields, about = left.split(), right.split()
        if len(fields) < 6 or len(about) < 3:
            continue
        kind, source, options = about[0].decode(), os.fsdecode(_plain(about[1])), about[2].split(b",")
        if kind in _FIXED or b"ro" in options or not (source.startswith("/dev/") or kind in _ALSO):
            continue
        major, _, minor = fields[2].partition(b":")
        yield Mount(os.fsdecode(_plain(fields[4])), source, (int(major), int(minor)))


def _plain(text: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), text)
