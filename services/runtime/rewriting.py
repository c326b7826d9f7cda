"""Putting another content into a person's file, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile

USUAL = 0o644


def rewrite(path: Path, content: str, judge: Callable[[Path], object]) -> None:
    """Write a file anew; it keeps its owner and its mode, and what is only a link to it stays one.

    `judge` gets the new file before it takes the old one's place, and raises for one that cannot be used; then nothing
    is changed. Raises OSError too.
    """
    place = path.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("wb", dir=place.parent, prefix=f".{place.name}.", delete=False) as fresh:
        made = Path(fresh.name)
        try:
            fresh.write(content.encode())
            fresh.flush()
            os.fsync(fresh.fileno())
            judge(made)
            _dress(made, place)
            made.replace(place)
        except BaseException:
            made.unlink()
            raise
    sync(place.parent)


def _dress(made: Path, place: Path) -> None:
    if not place.exists():
        made.chmod(USUAL)
        return
    wanted, mine = place.stat(), made.stat()
    if (wanted.st_uid, wanted.st_gid) != (mine.st_uid, mine.st_gid):
        os.chown(made, wanted.st_uid, wanted.st_gid)  # root, in the file of a person or for a daemon
    made.chmod(wanted.st_mode & 0o777)


def sync(path: Path) -> None:
    """Make a file or a folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
