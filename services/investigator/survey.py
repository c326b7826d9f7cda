"""What lies in a module's folder: a bounded walk that follows no link and reads each source file once."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.investigator.locating import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, Found, is_code_folder
from services.investigator.roots import open_beneath, read_beneath

MAX_ENTRIES = 20_000
MAX_DEPTH = 24
_TEST_FOLDERS = frozenset({"test", "tests", "idle_test"})


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one module is read: files, bytes in all, bytes of one file, seconds."""

    max_files: int = 500
    max_bytes: int = 4 * 1024 * 1024
    max_file_bytes: int = 512 * 1024
    max_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as it was read: its way from the place, its bytes (None if not read) and what was wrong."""

    parts: tuple[str, ...]
    data: bytes | None
    size: int
    is_test: bool = False
    problem: str | None = None
    too_large: bool = False

    @property
    def lines(self) -> int:
        """Lines, counted as an editor does."""
        data = self.data or b""
        return data.count(b"\n") + (1 if data and not data.endswith(b"\n") else 0)

    @property
    def sha256(self) -> str | None:
        """Digest of what was read."""
        return None if self.data is None else digest(self.data)


@dataclass(slots=True)
class Survey:
    """All files that were seen, and what was left out."""

    files: list[SourceFile] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    compiled: list[str] = field(default_factory=list)
    cut: str | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    parts: tuple[str, ...]
    is_test: bool


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def is_test(parts: tuple[str, ...]) -> bool:
    """Whether a file's way from its package makes it a test."""
    stem = parts[-1].rsplit(".", 1)[0]
    named = stem.startswith("test_") or stem.endswith("_test") or stem == "conftest"
    return named or any(part in _TEST_FOLDERS for part in parts[:-1])


def survey(found: Found, limits: Limits) -> Survey:
    """List and read a module's files: the shallowest first, tests last, until a limit is reached."""
    result = Survey()
    is_tree = found.kind in ("package", "namespace")
    seen = list(_walk(found, result)) if is_tree else [_Seen(found.parts, is_test=False)]
    _read(found, sorted(seen, key=_reading_order), limits, result)
    return result


def _reading_order(one: _Seen) -> tuple[bool, int, bool, tuple[str, ...]]:
    """Tests last, then by depth; in one folder `__init__` first, so that parents come before children."""
    return one.is_test, len(one.parts), not one.parts[-1].startswith("__init__."), one.parts


def _walk(found: Found, result: Survey) -> Iterator[_Seen]:
    queue = deque([found.parts])
    entries = 0
    while queue and entries < MAX_ENTRIES:
        folder = queue.popleft()
        for name, mode in _listed(found, folder, result):
            entries += 1
            parts = (*folder, name)
            inner = parts[len(found.parts) :]
            if stat.S_ISLNK(mode):
                result.links.append("/".join(inner))
            elif stat.S_ISDIR(mode) and is_code_folder(name):
                if len(inner) < MAX_DEPTH:
                    queue.append(parts)
            elif stat.S_ISREG(mode) and name.endswith(EXTENSION_SUFFIXES):
                result.compiled.append("/".join(inner))
            elif name.endswith(SOURCE_SUFFIXES) and not stat.S_ISDIR(mode):
                if stat.S_ISREG(mode):
                    yield _Seen(parts, is_test(inner))
                else:
                    result.unread.append(f"{'/'.join(inner)}: not a regular file")
    if queue:
        result.cut = f"more than {MAX_ENTRIES} directory entries"


def _listed(found: Found, folder: tuple[str, ...], result: Survey) -> list[tuple[str, int]]:
    try:
        handle = open_beneath(found.place.path, folder)
        try:
            with os.scandir(handle) as entries:
                return sorted((entry.name, entry.stat(follow_symlinks=False).st_mode) for entry in entries)
        finally:
            os.close(handle)
    except OSError as error:
        result.unread.append(f"{'/'.join(folder[len(found.parts) :]) or '.'}: {error.strerror or error}")
        return []


def _read(found: Found, seen: list[_Seen], limits: Limits, result: Survey) -> None:
    total = 0
    for count, one in enumerate(seen):
        if count >= limits.max_files or total >= limits.max_bytes:
            result.cut = f"only {count} of {len(seen)} files were read (the limits max_files and max_bytes)"
            return
        file = _read_one(found, one, limits)
        total += len(file.data or b"")
        result.files.append(file)


def _read_one(found: Found, one: _Seen, limits: Limits) -> SourceFile:
    try:
        data = read_beneath(found.place.path, one.parts, limits.max_file_bytes)
    except OSError as error:
        return SourceFile(one.parts, None, 0, one.is_test, f"cannot be read: {error.strerror or error}")
    if len(data) > limits.max_file_bytes:
        problem = f"larger than {limits.max_file_bytes} bytes, not read"
        return SourceFile(one.parts, None, len(data), one.is_test, problem, too_large=True)
    return SourceFile(one.parts, data, len(data), one.is_test)
