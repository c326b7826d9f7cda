"""The disk itself: small appends, each made durable, on the file system that the journal is on."""

from __future__ import annotations

import os
import time
from pathlib import Path

APPEND_BYTES = 4096


def fdatasync_seconds(folder: Path, count: int) -> list[float]:
    """How long each of `count` appends with `fdatasync` took."""
    found = []
    path = folder / "appended"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for _ in range(count):
            began = time.perf_counter()
            os.write(descriptor, b"x" * APPEND_BYTES)
            os.fdatasync(descriptor)
            found.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return found


def file_system(folder: Path) -> str:
    """The type of the file system that `folder` is on, and where that is mounted."""
    wanted = str(folder.resolve())
    best = ("/", "unknown")
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, point, kind, *_ = line.split()
            inside = wanted == point or wanted.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best[0]):
                best = (point, kind)
    return f"{best[1]} on {best[0]}"
