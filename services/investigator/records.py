"""`curiosity_investigations.jsonl`: one line an investigation, never doubled, repaired after a torn write."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from services.runtime.appending import append
from signals.files import sync

TAIL_BYTES = 16 * 1024 * 1024
BLOCK_BYTES = 1024 * 1024
_ID = "investigation_id"


class Records:
    """The file of finished investigations. Its last `tail_bytes` are searched for each question, newest first.

    Nothing of it is kept in memory: an index of small objects, made while syntax trees come and go, held on to the heap
    that these had used. A search costs a fraction of an investigation. Safe for the threads of one process; a lock on
    the file keeps a second process from writing in between.
    """

    def __init__(self, path: Path, tail_bytes: int = TAIL_BYTES) -> None:
        self.path = path
        self._tail_bytes = tail_bytes
        self._thread = threading.Lock()
        with self._locked() as handle:
            self.dropped = _repair(handle)
            """Bytes of a torn last line that were taken off when the file was opened."""

    def find(self, identity: str, thorough: bool = False) -> dict[str, Any] | None:
        """The facts recorded under an id; `thorough` looks through the whole file if need be."""
        with self._locked() as handle:
            return self._known(handle, identity, thorough=thorough)

    def latest(self, module: str) -> dict[str, Any] | None:
        """The facts of the last answer about a module, if it is in the part that is searched."""
        mark = b'"module_name":' + orjson.dumps(module)
        with self._locked() as handle:
            lines = _newest(handle, mark, self._tail_bytes)
            return next((facts for one in lines if (facts := dict(one["facts"])).get("module_name") == module), None)

    def add(self, identity: str, signal_id: str, asked_at: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write one record to disk; returns the facts that stand there: older ones if there were any."""
        line = orjson.dumps({_ID: identity, "signal_id": signal_id, "asked_at": asked_at, "facts": facts}) + b"\n"
        with self._locked() as handle:
            _repair(handle)
            known = self._known(handle, identity)
            if known is not None:
                return known
            append(handle, line)
        return dict(facts)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        with self._thread:
            handle = _open(self.path)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield handle
            finally:
                os.close(handle)

    def _known(self, handle: int, identity: str, *, thorough: bool = False) -> dict[str, Any] | None:
        lines = _newest(handle, identity.encode(), None if thorough else self._tail_bytes)
        return next((dict(one["facts"]) for one in lines if one[_ID] == identity), None)


def _newest(handle: int, mark: bytes, span: int | None) -> Iterator[dict[str, Any]]:
    """The records in the last `span` bytes (None: all) in whose lines `mark` stands, from the end on."""
    for block in _backwards(handle, span):
        at = block.rfind(mark)
        while at >= 0:
            begin = block.rfind(b"\n", 0, at) + 1
            end = block.find(b"\n", at)
            record = _parsed(block[begin : end if end >= 0 else None])
            if record is not None:
                yield record
            at = block.rfind(mark, 0, begin)


def _backwards(handle: int, span: int | None) -> Iterator[bytes]:
    """The file in blocks of whole lines, the last first."""
    end = os.fstat(handle).st_size
    first = 0 if span is None else max(0, end - span)
    rest = b""
    while end > first:
        begin = max(first, end - BLOCK_BYTES)
        block = os.pread(handle, end - begin, begin) + rest
        rest = b""
        if begin:
            head, newline, block = block.partition(b"\n")
            rest = head + newline
        yield block
        end = begin


def _open(path: Path) -> int:
    fresh = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    if fresh:
        sync(path.parent)
    return handle


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A record, or None for a line that is none: a person may have edited the file."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get(_ID), str):
        return None
    return record if isinstance(record.get("facts"), dict) else None


def _repair(handle: int) -> int:
    """End the file in a whole line: complete one that lacks only its newline, take a torn one off."""
    size = os.fstat(handle).st_size
    last = _last_piece(handle, size)
    if not last:
        return 0
    if _parsed(last) is not None:
        append(handle, b"\n")
        return 0
    os.ftruncate(handle, size - len(last))
    os.fsync(handle)
    return len(last)


def _last_piece(handle: int, size: int) -> bytes:
    """What stands after the last newline."""
    piece, position = b"", size
    while position > 0 and b"\n" not in piece:
        step = min(64 * 1024, position)
        position -= step
        piece = os.pread(handle, step, position) + piece
    return piece.rpartition(b"\n")[2]
