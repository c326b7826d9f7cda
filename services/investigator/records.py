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

TAIL_BYTES = 16 * 1024 * 1024
_ID = "investigation_id"


class Records:
    """The file of finished investigations; the ids of its last `tail_bytes` are kept in memory.

    Safe for the threads of one process; a lock on the file keeps a second process from writing in between.
    """

    def __init__(self, path: Path, tail_bytes: int = TAIL_BYTES) -> None:
        self.path = path
        self.dropped = 0
        """Bytes of a torn last line that were taken off when the file was opened."""
        self._tail_bytes = tail_bytes
        self._places: dict[str, tuple[int, int]] = {}
        self._latest: dict[str, str] = {}
        self._end = 0
        self._inode = 0
        self._thread = threading.Lock()
        with self._locked() as handle:
            self.dropped = _repair(handle)
            self._catch_up(handle)

    def find(self, identity: str, thorough: bool = False) -> dict[str, Any] | None:
        """The facts recorded under an id; `thorough` looks through the whole file if need be."""
        with self._locked() as handle:
            self._catch_up(handle)
            known = self._known(handle, identity)
            return self._searched(handle, identity) if known is None and thorough else known

    def latest(self, module: str) -> dict[str, Any] | None:
        """The facts of the last answer about a module, if it is among those kept in memory."""
        with self._locked() as handle:
            self._catch_up(handle)
            identity = self._latest.get(module)
            return None if identity is None else self._known(handle, identity)

    def add(self, identity: str, signal_id: str, asked_at: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write one record to disk; returns the facts that stand there: older ones if there were any."""
        line = orjson.dumps({_ID: identity, "signal_id": signal_id, "asked_at": asked_at, "facts": facts}) + b"\n"
        with self._locked() as handle:
            _repair(handle)
            self._catch_up(handle)
            known = self._known(handle, identity)
            if known is not None:
                return known
            append(handle, line)
            self._catch_up(handle)
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

    def _known(self, handle: int, identity: str) -> dict[str, Any] | None:
        if identity not in self._places:
            return None
        offset, length = self._places[identity]
        record = _parsed(os.pread(handle, length, offset))
        if record is not None and record[_ID] == identity:
            return dict(record["facts"])
        # Somebody edited the file, and the line moved.
        return self._searched(handle, identity)

    def _searched(self, handle: int, identity: str) -> dict[str, Any] | None:
        mark = identity.encode()
        with os.fdopen(os.dup(handle), "rb") as stream:
            stream.seek(0)
            for line in stream:
                record = _parsed(line) if mark in line else None
                if record is not None and record[_ID] == identity:
                    return dict(record["facts"])
        return None

    def _skip_partial(self, handle: int) -> None:
        if self._end:
            with os.fdopen(os.dup(handle), "rb") as stream:
                stream.seek(self._end)
                self._end += len(stream.readline())

    def _catch_up(self, handle: int) -> None:
        """Index what was appended since the last look; start again when the file was made shorter."""
        found = os.fstat(handle)
        size = found.st_size
        if size < self._end or found.st_ino != self._inode:
            self._places.clear()
            self._latest.clear()
            self._inode = found.st_ino
            self._end = max(0, size - self._tail_bytes)
            self._skip_partial(handle)
        if size == self._end:
            return
        with os.fdopen(os.dup(handle), "rb") as stream:
            stream.seek(self._end)
            for line in stream:
                self._note(line)
        self._forget()

    def _note(self, line: bytes) -> None:
        record = _parsed(line)
        if record is not None:
            self._places.setdefault(record[_ID], (self._end, len(line)))
            if name := record["facts"].get("module_name"):
                self._latest[str(name)] = record[_ID]
        self._end += len(line)

    def _forget(self) -> None:
        oldest = self._end - 2 * self._tail_bytes
        if oldest > 0:
            kept = {key: place for key, place in self._places.items() if place[0] >= oldest}
            self._places = kept
            self._latest = {name: key for name, key in self._latest.items() if key in kept}


def _open(path: Path) -> int:
    fresh = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    if fresh:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
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
