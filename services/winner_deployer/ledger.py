"""The ledger: what was done to which file, one JSON line each, on disk before the act that it tells of.

Each line ends with a checksum of what stands before it, so that a disk that has turned a bit does not decide anything.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from services.runtime.appending import append
from services.winner_deployer.logic import Deployments, Record
from signals.errors import ConfigError
from signals.files import sync

_SEAL = re.compile(rb',"sum":"([0-9a-f]{16})"\}')
_SEAL_LENGTH = len(b',"sum":"0123456789abcdef"}')


class Ledger:
    """Append-only, one writer. `deployments` is what all its lines say together.

    `alone` is held by who decides by what it says, and notes that: nobody notes anything in between.
    """

    def __init__(self, path: Path) -> None:
        """Open it, and cut off a line that a crash left half-written. Raises `ConfigError` for one that is damaged."""
        self.path = path
        self.alone = threading.RLock()
        self._file = _open(path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.deployments = Deployments()
            self.dropped = self._load()
            sync(path.parent)
        except BlockingIOError as error:
            os.close(self._file)
            raise ConfigError(f"{path} is being written by another process; only one deployer may run.") from error
        except BaseException:
            os.close(self._file)
            raise

    def _load(self) -> int:
        raw = _all(self._file)
        whole, sealed = raw.rfind(b"\n") + 1, False
        for number, line in enumerate(raw[:whole].splitlines(), 1):
            try:
                record, sealed = _unsealed(line, sealed)
                self.deployments.take(record)
            except (ValueError, KeyError, TypeError) as error:
                words = f"{self.path}:{number} is damaged ({error!r}); take the line out once you know what it said."
                raise ConfigError(words) from error
        if faults := [fault for one in self.deployments if (fault := one.fault())]:
            raise ConfigError(f"{self.path}: {'; '.join(faults)}. Take the deployment's other lines out too.")
        if whole < len(raw):
            os.ftruncate(self._file, whole)
            os.fsync(self._file)
        return len(raw) - whole

    def note(self, *records: Mapping[str, Any]) -> None:
        """Write lines, all in one write, and return when they are on disk. Raises OSError."""
        with self.alone:
            self._write(b"".join(map(_sealed, records)))
            for record in records:
                self.deployments.take(record)

    def _write(self, lines: bytes) -> None:
        if not os.fstat(self._file).st_nlink:
            self._begin_again()
        size = os.fstat(self._file).st_size
        try:
            if os.write(self._file, lines) != len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size)  # half a line must not come before the next one
            raise

    def _begin_again(self) -> None:
        """Somebody took the file away: what it said, which the open one still holds, goes into a new one."""
        self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        handle = _open(fresh)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            append(handle, _all(self._file))
            fresh.rename(self.path)
            sync(self.path.parent)
        except BaseException:
            os.close(handle)
            raise
        os.close(self._file)
        self._file = handle

    def close(self) -> None:
        """Let go of it."""
        os.close(self._file)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


def _all(handle: int) -> bytes:
    os.lseek(handle, 0, os.SEEK_SET)
    return b"".join(iter(lambda: os.read(handle, 1 << 20), b""))


def _sealed(record: Record) -> bytes:
    body = orjson.dumps(dict(record))
    return b'%b,"sum":"%b"}\n' % (body[:-1], _sum(body))


def _unsealed(line: bytes, after_sealed: bool) -> tuple[Record, bool]:
    """The record in a line, and whether it had a checksum: an earlier version wrote none. Raises `ValueError`."""
    seal = _SEAL.fullmatch(line[-_SEAL_LENGTH:])
    body = line[:-_SEAL_LENGTH] + b"}" if seal else line
    if seal and seal[1] != _sum(body):
        raise ValueError("its checksum is another")
    if after_sealed and not seal:
        raise ValueError("it has no checksum")
    return orjson.loads(body), seal is not None


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:16].encode()
