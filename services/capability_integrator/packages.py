"""Making a missing `__init__.py`, where a root's configuration allows it and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INIT = "__init__.py"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class InitRoots:
    """The folders beneath which an `__init__.py` may be made."""

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, roots: Iterable[Mapping[str, Any]]) -> InitRoots:
        """From the configuration's `roots`; a link to a root is followed once, here."""
        allowed = (root["path"] for root in roots if root.get("create_init", False))
        return cls(tuple(Path(os.path.realpath(path)) for path in allowed))

    def holding(self, folder: Path) -> Path | None:
        """The root that a folder is beneath, not being the root itself."""
        return next((root for root in self.paths if root in folder.parents), None)


def make_init(facts: Mapping[str, Any], signal_id: str, roots: InitRoots) -> bool:
    """Make a package of a folder that lacks `__init__.py`; tells whether this signal made it.

    The file's text names the signal, so a redelivery after a crash knows its own work. Raises OSError when it
    is allowed but cannot be done. Paths that lead elsewhere by a link or `..` are left alone.
    """
    folder = facts.get("module_path")
    if facts.get("has_init") is not False or not isinstance(folder, str):
        return False
    if "\0" in folder or not os.path.isabs(folder) or os.path.realpath(folder) != folder:
        return False
    root = roots.holding(Path(folder))
    if root is None:
        return False
    handle = _opened(root, Path(folder).relative_to(root).parts)
    if handle is None:
        return False
    try:
        return _made(handle, text_of(signal_id))
    finally:
        os.close(handle)


def text_of(signal_id: str) -> bytes:
    """What stands in a made `__init__.py`; only letters, digits and dashes of the id are taken."""
    safe = "".join(char for char in signal_id if char.isascii() and (char.isalnum() or char == "-"))
    return f"# Made by Ligand's capability integrator (signal {safe}).\n".encode()


def _opened(root: Path, parts: Iterable[str]) -> int | None:
    """The folder, opened without following any link beneath the root; None when that is no folder."""
    handle = os.open(root, _FOLDER)
    for part in parts:
        try:
            deeper = os.open(part, _FOLDER, dir_fd=handle)
        except (FileNotFoundError, NotADirectoryError):
            return None
        finally:
            os.close(handle)
        handle = deeper
    return handle


def _made(folder: int, text: bytes) -> bool:
    names = os.listdir(folder)
    if INIT in names:
        return _read(folder) == text
    if not any(name.endswith(".py") for name in names):
        return False
    return _linked(folder, text)


def _read(folder: int) -> bytes | None:
    try:
        handle = os.open(INIT, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        # A link or something unreadable stands there: it is not the file that was made here.
        return None
    with os.fdopen(handle, "rb") as stream:
        return stream.read(4096)


def _linked(folder: int, text: bytes) -> bool:
    """Write beside it, then link: the file is whole or not there, and never replaces another."""
    fresh = f".{INIT}.new"
    if fresh in os.listdir(folder):
        os.unlink(fresh, dir_fd=folder)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(handle)
        os.link(fresh, INIT, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return False
    finally:
        os.unlink(fresh, dir_fd=folder)
    os.fsync(folder)
    return True
