"""One file of a damaged database and its write-ahead log, page by page, which SQLite opens whatever is wrong in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw

from signals.checksums import RESERVED, RESERVED_AT, has_checksums, is_sound, with_checksum
from signals.wal import frames

MAGIC = b"SQLite format 3\0"
PAGE_BYTES = 4096
MAX_GROWN = 1 << 20


def assemble(journal: Path, into: Path, fresh: bytes) -> int:
    """Write the database with the sound frames of its log into a file, and return how many frames are damaged.

    `fresh` is a new, empty journal: its first page stands in for one that cannot be read, since a schema is the same
    page for page.
    """
    shutil.copyfile(journal, into)
    count = into.stat().st_size // PAGE_BYTES
    damaged = 0
    with into.open("r+b") as pages:
        seal = with_checksum if _has_checksums(pages.read(PAGE_BYTES)) else bytes
        for frame in frames(journal.with_name(f"{journal.name}-wal")):
            damaged += not frame.intact
            if frame.intact and 0 < frame.page < count + MAX_GROWN:
                pages.seek((frame.page - 1) * PAGE_BYTES)
                pages.write(seal(frame.data))  # a log has sums of its own instead
                count = frame.pages or count
        pages.truncate(count * PAGE_BYTES)
        pages.seek(0)
        first = _with_its_mark(pages.read(PAGE_BYTES))
        first = _alone(first if _can_open(first) else fresh[:PAGE_BYTES], count)
        pages.seek(0)
        pages.write(seal(first))
    return damaged


def _has_checksums(first: bytes) -> bool:
    """As the first page says, if it is one; as is usual otherwise."""
    return has_checksums(_with_its_mark(first)) or first[:16] != MAGIC


def _with_its_mark(first: bytes) -> bytes:
    """The first page, with the byte that says that there are checksums where that alone has changed."""
    marked = first[:RESERVED_AT] + bytes([RESERVED]) + first[RESERVED_AT + 1 :]
    return marked if is_sound(marked) else first


def _alone(first: bytes, count: int) -> bytes:
    """A first page that says: so many pages, no write-ahead log beside them."""
    return b"".join(
        (first[:18], b"\1\1", first[20:28], count.to_bytes(4, "big"), first[32:92], first[24:28], first[96:])
    )


def _can_open(first: bytes) -> bool:
    """Whether a first page has a header and a schema that SQLite takes."""
    if first[:16] != MAGIC or first[16:18] != PAGE_BYTES.to_bytes(2, "big"):
        return False
    if has_checksums(first) and not is_sound(first):
        return False
    db = apsw.Connection(":memory:")
    try:
        db.deserialize("main", _alone(first, 1))
        names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except apsw.Error:
        return False
    finally:
        db.close()
    return {"meta", "signal", "consumer", "dead"} <= names
