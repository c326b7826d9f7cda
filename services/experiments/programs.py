"""The files that an evaluation consists of: another script measures something else, so they are part of the experiment.

Counted are the words of its command that name files, data among them, and the module of a Python function. What these
load themselves is not known, and the system's own programs do not count: an upgrade of the system changes no meaning.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

SYSTEM = ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec", "/usr/share")
MAX_READ = 64 << 20
"""Larger files, such as models, are told apart by size and time of change."""


def digests(folder: Path, command: Sequence[str], python: str | None) -> dict[str, str]:
    """SHA-256 in hex by file, as a person would name it from the experiment's folder."""
    named = _words(folder, command) if python is None else _module(folder, python.partition(":")[0])
    return {_shown(path, folder): _digest(path) for path in named}


def whole(file_sha256: str, programs: Mapping[str, str]) -> str:
    """SHA-256 of an experiment: of its file and of its programs."""
    lines = [file_sha256, *(f"{name}\0{digest}" for name, digest in sorted(programs.items()))]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _words(folder: Path, command: Sequence[str]) -> Iterator[Path]:
    for nth, word in enumerate(command):
        path = folder / word
        if (nth == 0 and "/" not in word) or not _is_file(path):  # without a slash the first is looked for in PATH
            continue
        if not str(path.resolve()).startswith(SYSTEM):
            yield path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a word too long for a name
        return False


def _module(folder: Path, module: str) -> Iterator[Path]:
    found = find_module(folder, module)
    if found is not None and found.has_location and found.origin is not None:
        yield Path(found.origin)


def find_module(folder: Path, module: str) -> ModuleSpec | None:
    """Find a dotted module as the import would from that folder, without importing anything."""
    where: Sequence[str] | None = [str(folder), *filter(None, sys.path)]
    found: ModuleSpec | None = None
    so_far = ""
    for part in module.split("."):
        so_far = f"{so_far}.{part}" if so_far else part
        found = _found(so_far, where) if where is not None else None
        where = found.submodule_search_locations if found is not None else None
    return found


def _found(module: str, where: Sequence[str]) -> ModuleSpec | None:
    """In these folders, or wherever else this Python finds modules, such as those that are installed as editable."""
    others = (finder.find_spec(module, where if "." in module else None) for finder in sys.meta_path)
    return PathFinder.find_spec(module, where) or next(filter(None, others), None)


def _digest(path: Path) -> str:
    try:
        found = path.stat()
        if found.st_size > MAX_READ:
            return hashlib.sha256(f"{found.st_size} {found.st_mtime_ns}".encode()).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:  # it may be run though it cannot be read
        return f"cannot be read: {error.strerror}"


def _shown(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
