"""Rows of a damaged SQLite file, read from its pages one by one when the tree above them is broken.

The layout of pages, cells and records is that of https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from typing import Any

from signals.checksums import HEADER, RESERVED, has_checksums, is_sound

TABLE_LEAF = 0x0D
_WIDTHS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class Pages:
    """A whole database file, mapped; page numbers begin at 1. `size` is that of a page in bytes.

    Where pages have checksums, one whose checksum is wrong counts as lost: what it says may be what nobody sent.
    """

    def __init__(self, raw: mmap.mmap, size: int) -> None:
        self._raw = raw
        self._size = size
        self._checked = has_checksums(raw[:HEADER])
        self._usable = size - (RESERVED if self._checked else 0)

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()

    def rows(self, columns: int) -> Iterator[tuple[int, list[Any]]]:
        """(rowid, values) of each readable row with so many columns on any leaf of any table. The rowid stands also
        where a table keeps it in place of a column that is then None."""
        for number in range(1, len(self._raw) // self._size + 1):
            page = self._page(number)
            start = 100 if number == 1 else 0
            if page[start] == TABLE_LEAF and self._is_sound(page):
                yield from self._cells(page, start, columns)

    def _is_sound(self, page: bytes) -> bool:
        return not self._checked or is_sound(page)

    def _page(self, number: int) -> bytes:
        return self._raw[(number - 1) * self._size : number * self._size]

    def _cells(self, page: bytes, start: int, columns: int) -> Iterator[tuple[int, list[Any]]]:
        (count,) = struct.unpack(">H", page[start + 3 : start + 5])
        for nth in range(min(count, self._size // 4)):
            pointer = page[start + 8 + 2 * nth : start + 10 + 2 * nth]
            try:
                (at,) = struct.unpack(">H", pointer)
                length, at = _varint(page, at)
                rowid, at = _varint(page, at)
                values = _record(self._payload(page, at, length))
            except (IndexError, struct.error, ValueError):
                continue  # this cell is damaged; the next may be whole
            if len(values) == columns:
                yield rowid, values

    def _payload(self, page: bytes, at: int, length: int) -> bytes:
        """The bytes of a cell, those on overflow pages too. Raises `ValueError` when they are not all there."""
        usable = self._usable
        if length <= usable - 35:
            return page[at : at + length]
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        local = local if local <= usable - 35 else least
        found = bytearray(page[at : at + local])
        (following,) = struct.unpack(">I", page[at + local : at + local + 4])
        while len(found) < length:
            if not 0 < following <= len(self._raw) // self._size:
                raise ValueError("an overflow page is missing")
            overflow = self._page(following)
            if not self._is_sound(overflow):
                raise ValueError("an overflow page is damaged")
            (following,) = struct.unpack(">I", overflow[:4])
            found += overflow[4 : 4 + min(length - len(found), usable - 4)]
        return bytes(found)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for nth in range(8):
        byte = data[at + nth]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + nth + 1
    return value << 8 | data[at + 8], at + 9


def _record(payload: bytes) -> list[Any]:
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    if at != len(payload):
        raise ValueError("the record does not fill its payload")
    return values


def _value(payload: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (0, 8, 9):
        return (None if kind == 0 else kind - 8), at
    if kind in _WIDTHS:
        return int.from_bytes(payload[at : at + _WIDTHS[kind]], "big", signed=True), at + _WIDTHS[kind]
    if kind == 7:
        return struct.unpack(">d", payload[at : at + 8])[0], at + 8
    size = (kind - 12) // 2
    piece = payload[at : at + size]
    return (piece if kind % 2 == 0 else piece.decode()), at + size
