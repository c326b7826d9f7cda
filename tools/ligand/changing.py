"""One change of an installation at a time: install, uninstall, rollback, grant, revoke; and how its errors are told."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

from signals.errors import LigandError
from tools.ligand.layout import InstallError


@contextmanager
def told() -> Iterator[None]:
    """Errors end as one message to a person."""
    try:
        yield
    except LigandError as error:
        raise click.ClickException(error.message) from error
    except OSError as error:
        where = error.filename or "a file"
        raise click.ClickException(f"{where}: {error.strerror}. Mend that, then run it again; it goes on.") from error


@contextmanager
def changing(lock: Path) -> Iterator[None]:
    """Hold the lock of an installation. Raises `InstallError` saying who holds it."""
    file = _locked(lock)
    try:
        file.truncate(0)
        file.write(f"`ligand {' '.join(sys.argv[1:2])}`, process {os.getpid()}")
        file.flush()
        yield
    finally:
        lock.unlink()
        file.close()


def _locked(lock: Path) -> TextIO:
    while True:
        try:
            file = os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+")
        except OSError as error:
            raise InstallError(f"Cannot lock {lock}: {error.strerror}.") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = file.read().strip() or "somebody"
            file.close()
            raise InstallError(
                f"{holder} is changing this installation ({lock}). Nothing was done; wait for it, then try again."
            ) from error
        if _is_there(file, lock):
            return file
        file.close()  # it was removed by the one who held it, between our opening and locking it


def _is_there(file: TextIO, lock: Path) -> bool:
    try:
        found = lock.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(file.fileno())
    return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)
