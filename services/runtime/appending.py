"""Adding whole lines to a file that a full disk must not leave torn."""

from __future__ import annotations

import os
from pathlib import Path


def append(handle: int, lines: bytes, *, sync: bool = True) -> None:
    """Write at the end; what was written only in part is taken off again before the error goes on. Raises OSError."""
    size = os.fstat(handle).st_size
    try:
        written = os.write(handle, lines)
        if written != len(lines):
            raise OSError(f"only {written} of {len(lines)} bytes were written")
        if sync:
            os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise


def append_to(path: Path, lines: bytes, *, sync: bool = True) -> int:
    """The same to a file that is made where there is none; its size afterwards. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    try:
        append(handle, lines, sync=sync)
        return os.fstat(handle).st_size
    finally:
        os.close(handle)
