"""Reading SQLite's write-ahead log apart from SQLite, which stops at the first damaged frame and says nothing.

The layout is that of https://www.sqlite.org/fileformat2.html#the_write_ahead_log: a header of 32 bytes, then frames of
24 bytes and a page. Each checksum goes on from the one before it, so behind a damaged frame the chain is taken up again
from the checksum that frame says it had.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAGIC = 0x377F0682
HEADER, FRAME = 32, 24
_ALL = 0xFFFFFFFF


class Frame(NamedTuple):
    """One page as a transaction left it. `pages` is the size of the database in pages at a commit, else 0."""

    page: int
    pages: int
    data: bytes
    intact: bool


def frames(path: Path) -> Iterator[Frame]:
    """The frames of the log's present round, damaged ones too; none when there is no log or nothing in it."""
    raw = path.read_bytes() if path.exists() else b""
    if len(raw) < HEADER + FRAME:
        return
    magic, _, size, _, *salts = struct.unpack(">6I", raw[:24])
    order = ">" if magic == MAGIC | 1 else "<"
    chain = checksum(order, raw[:24], (0, 0))
    sound = magic in (MAGIC, MAGIC | 1) and chain == struct.unpack(">2I", raw[24:HEADER])
    if not sound:  # what the frames say instead; the first cannot be checked then
        size, order = 4096, "<"
        salts = list(struct.unpack(">2I", raw[HEADER + 8 : HEADER + 16]))
    starts = range(HEADER, len(raw) - FRAME - size + 1, FRAME + size)
    present = [start for start in starts if list(struct.unpack(">2I", raw[start + 8 : start + 16])) == salts]
    for start in starts[: (present[-1] - HEADER) // (FRAME + size) + 1] if present else ():
        page, pages, salt1, salt2, *said = struct.unpack(">6I", raw[start : start + FRAME])
        data = raw[start + FRAME : start + FRAME + size]
        chain = checksum(order, data, checksum(order, raw[start : start + 8], chain))
        yield Frame(page, pages, data, sound and [salt1, salt2] == salts and list(chain) == said)
        sound, chain = True, (said[0], said[1])


def lost_commits(path: Path) -> int:
    """How many whole commits stand behind the first damaged frame: SQLite would leave them out without a word.

    One may be what a crash has left of the transaction that it interrupted, which nobody was told of; more are damage.
    """
    damaged, commits = False, 0
    for frame in frames(path):
        damaged = damaged or not frame.intact
        commits += damaged and frame.intact and frame.pages > 0
    return commits


def checksum(order: str, data: bytes, chain: tuple[int, int]) -> tuple[int, int]:
    """Both sums of a piece that goes on from `chain`; `order` is that of the bytes, `<` or `>`."""
    first, second = chain
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = first + one + second & _ALL
        second = second + two + first & _ALL
    return first, second
