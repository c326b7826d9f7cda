"""The file of dead letters: one JSON line each, appended and synced; never two writers.

A crash may leave any part of what was not synced. What the table has is the truth; the file is brought in line with it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

_NUMBER = re.compile(rb'\{"dead_letter_id":(\d+),')
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_MODE = 0o640


class LetterFile:
    """Each line begins with the number of its dead letter. Offsets and sizes in bytes. Raises `OSError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        fresh = not path.exists()
        self._file = os.open(path, _FLAGS, _MODE)
        if fresh:
            self._sync_folder()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def size(self) -> int:
        """How large it is."""
        return os.fstat(self._file).st_size

    def append(self, lines: Sequence[bytes]) -> list[int]:
        """Add lines (without their ends) and sync them; where each begins."""
        offsets, offset = [], self.size()
        for line in lines:
            offsets.append(offset)
            offset += len(line) + 1
        _write_all(self._file, b"".join(line + b"\n" for line in lines))
        os.fsync(self._file)
        return offsets

    def lines(self, start: int = 0) -> Iterator[tuple[int | None, int, bytes]]:
        """(number, offset, line) of each line from an offset on; None for a line that is no dead letter's."""
        offset = start
        with self.path.open("rb") as lines:
            lines.seek(start)
            for line in lines:
                number = _NUMBER.match(line)
                yield int(number[1]) if number else None, offset, line
                offset += len(line)

    def first_number(self) -> int | None:
        """The number of its first line."""
        return next((number for number, _, _ in self.lines()), None)

    def offsets(self, wanted: set[int]) -> dict[int, int]:
        """Where these dead letters stand; those that it lacks are left out."""
        return {number: offset for number, offset, _ in self.lines() if number in wanted}

    def line_at(self, offset: int, number: int) -> bytes:
        """The line of a dead letter: there, or elsewhere since older ones were pruned. Empty when it is gone."""
        for found, _, line in self.lines(offset):
            if found == number:
                return line
            break
        return next((line for found, _, line in self.lines() if found == number), b"")

    def cut_unsure(self, known: tuple[int, int] | None, last: int) -> None:
        """Cut off what a crash may have left behind `known`, the (number, offset) of a line that was synced.

        From the first line on that is torn, garbled or numbered above `last` nothing was committed, or the table has
        the whole of it.
        """
        start = known[1] if known and self._stands(*known) else 0
        for number, offset, line in self.lines(start):
            if not line.endswith(b"\n") or (number or 0) > last or not _is_json(line):
                os.ftruncate(self._file, offset)
                os.fsync(self._file)
                return

    def _stands(self, number: int, offset: int) -> bool:
        return next((found for found, _, _ in self.lines(offset)), None) == number

    def drop(self, upto: int) -> list[tuple[int, int]]:
        """Go on without the lines numbered to `upto`; (number, offset) of those that stay."""
        fresh = self.path.with_suffix(".jsonl.new")
        file = os.open(fresh, _FLAGS | os.O_TRUNC, _MODE)
        try:
            kept = _copy_over(self, file, upto)
        except OSError:
            os.close(file)
            os.unlink(fresh)
            raise
        os.replace(fresh, self.path)
        self._sync_folder()  # else a power cut brings the old file back, without what is appended from now on
        os.close(self._file)
        self._file = file
        return kept

    def set_aside(self) -> Path:
        """Begin an empty file; where the present one is kept."""
        kept = self.path.with_name(f"{self.path.stem}.{time.strftime('%Y%m%dT%H%M%S')}.jsonl")
        os.replace(self.path, kept)
        os.close(self._file)
        self._file = os.open(self.path, _FLAGS, _MODE)
        self._sync_folder()
        return kept

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _copy_over(source: LetterFile, target: int, upto: int) -> list[tuple[int, int]]:
    kept, size = [], 0
    for number, _, line in source.lines():
        if number is not None and number > upto:
            _write_all(target, line)
            kept.append((number, size))
            size += len(line)
    os.fsync(target)
    return kept


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
