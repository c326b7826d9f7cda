"""Locks on files in the runtime folder, which whoever ends last may take away."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO

from signals.errors import LigandError
from signals.paths import Paths

TRIES = 1000


class HeldError(LigandError):
    """Another process holds the lock."""

    holder: str


def hold(paths: Paths, name: str) -> TextIO:
    """Lock `name` in the runtime folder, until the file is closed. Raises `HeldError` with what its holder wrote.

    A lock on a file that was removed meanwhile locks nobody out, so it is taken again on the one that is there.
    """
    path = paths.run / name
    for _ in range(TRIES):
        paths.ensure_run()
        try:
            file = path.open("a+", encoding="utf-8")
        except FileNotFoundError:
            continue  # the folder was taken away at this instant
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            with file:
                held = HeldError(f"{path} is held by another process.")
                held.holder = file.read().strip()
            raise held from error
        if _is_there(path, file):
            return file
        file.close()
    raise LigandError(f"Cannot lock {path}: it goes away again and again. Look at what is in {paths.run}.")


def write(file: TextIO, who: str) -> None:
    """Say in the locked file who holds it."""
    file.truncate(0)
    file.write(f"{who}\n")
    file.flush()


def _is_there(path: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
