"""The file systems of this machine that can fill up, as `/proc/self/mountinfo` lists them (proc(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_ALSO = frozenset({"zfs", "bcachefs"})  # their sources are no paths of devices
_ROOT_ONLY = "overlay"  # in a container the root is one; elsewhere they are the roots of containers
_FIXED = frozenset({"squashfs", "iso9660", "erofs", "udf", "romfs", "cramfs"})  # full by nature
_ESCAPED = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system at its shortest place; `device` is major and minor, `is_covered` whether another lies over it."""

    place: str
    source: str
    device: tuple[int, int]
    is_covered: bool = False

    def is_seen(self) -> bool:
        """Whether the place shows this file system, and not something that was mounted over it. Raises OSError."""
        found = os.stat(self.place)
        if self.is_covered or self.device[0] == 0:  # without a device, such as btrfs, stat(2) tells another number
            return not self.is_covered
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
    lines = [line for line in text.splitlines() if len(line.partition(b" - ")[0].split()) >= 6]
    tops = {line.split()[4]: line for line in lines}
    for mount in sorted(_parsed(lines, tops), key=lambda mount: len(mount.place)):
        found.setdefault(mount.source, mount)
    return sorted(found.values(), key=lambda mount: mount.place)


def _parsed(lines: Iterable[bytes], tops: Mapping[bytes, bytes]) -> Iterator[Mount]:
    """`tops`: the line of what was mounted last at each place."""
    for line in lines:
        left, _, right = line.partition(b" - ")
        fields, about = left.split(), right.split(maxsplit=2)
        if len(about) < 3:
            continue
        kind, source, options = about[0].decode(), os.fsdecode(_plain(about[1])), about[2].split(b",")
        place = os.fsdecode(_plain(fields[4]))
        can_fill_up = source.startswith("/dev/") or kind in _ALSO or (kind == _ROOT_ONLY and place == "/")
        if kind in _FIXED or b"ro" in options or not can_fill_up:
            continue
        major, _, minor = fields[2].partition(b":")
        yield Mount(place, source, (int(major), int(minor)), tops[fields[4]] is not line)


def _plain(text: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), text)
