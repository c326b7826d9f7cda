"""The journal's file, with a checksum of each page, so that bytes which change on the disk are told, never taken.

SQLite's own shim `cksumvfs` (https://www.sqlite.org/cksumvfs.html), which apsw's wheel carries, writes eight bytes at
the end of each page and checks them whenever a page is read. The write-ahead log has checksums of its own.
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import apsw
import apsw.sqlite_extra

from signals.errors import ConfigError
from signals.wal import checksum

RESERVED = 8
RESERVED_AT = 20
HEADER = 100
_VFS = "cksmvfs"


class DamagedError(ConfigError):
    """The journal is damaged."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"The journal {path} is damaged ({what}). The bus does not write to it. `ligand journal salvage` makes a "
            "new journal of all that can be read and keeps this one beside it; `ligand journal restore FOLDER` puts "
            "a backup in its place."
        )


def connect(path: Path, *, writable: bool = False) -> apsw.Connection:
    """Open a journal, or make an empty one if it is writable and not there; each page that is read is checked.

    Raises `apsw.Error`, and `ConfigError` where this apsw lacks the shim.
    """
    _load()
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if writable else apsw.SQLITE_OPEN_READONLY
    db = apsw.Connection(str(path), flags=flags, vfs=_VFS)
    if writable and not db.pragma("page_count"):  # what a crash left half made counts as empty
        db.reserve_bytes(reserve=RESERVED)
    return db


def is_loaded() -> bool:
    """Whether the shim is there already, and sits upon what was SQLite's default VFS then."""
    return _load.cache_info().currsize > 0


def is_damage(error: Exception) -> bool:
    """Whether SQLite says that a file's bytes are not what was written."""
    if isinstance(error, apsw.IOError):
        return bool(getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA)
    return isinstance(error, (apsw.CorruptError, apsw.NotADBError))


def words(error: Exception) -> str:
    """What is wrong with the file, for a person."""
    return "a page's checksum is wrong" if isinstance(error, apsw.IOError) else str(error)


def has_checksums(first: bytes) -> bool:
    """Whether a database whose first page begins so has a checksum on each page."""
    return first[RESERVED_AT : RESERVED_AT + 1] == bytes([RESERVED])


def file_has_checksums(path: Path) -> bool:
    """The same of a file. Raises OSError."""
    with path.open("rb") as file:
        return has_checksums(file.read(HEADER))


def is_sound(page: bytes) -> bool:
    """Whether a page is what was written."""
    return page[-RESERVED:] == _sum(page)


def with_checksum(page: bytes) -> bytes:
    """The page with the checksum that belongs to it."""
    return page[:-RESERVED] + _sum(page)


def _sum(page: bytes) -> bytes:
    return struct.pack("<2I", *checksum("<", page[:-RESERVED], (0, 0)))


@cache
def _load() -> None:
    db = apsw.Connection(":memory:")
    try:
        apsw.sqlite_extra.load(db, "cksumvfs")
    except (apsw.Error, LookupError, apsw.sqlite_extra.NotAvailable) as error:
        raise ConfigError(
            f"This apsw ({apsw.apsw_version()}) brings no checksums of pages ({error}). Install the locked wheel of "
            "`apsw`: `make setup`, or `ligand install` again."
        ) from error
    finally:
        db.close()
