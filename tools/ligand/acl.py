"""Access control lists on a tree of somebody else's files, set by root without ever following a link.

Each file is opened first, component by component, then setfacl(1) is told the open descriptor: what somebody puts in
its place meanwhile is not touched.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.ligand.layout import InstallError
from tools.ligand.steps import run

AT_ONCE = 100
_HOLD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def held(path: Path) -> Iterator[int]:
    """A descriptor of an absolute path of which no component is a link. Raises `InstallError`."""
    found = os.open("/", _HOLD)
    try:
        for part in path.parts[1:]:
            inner = os.open(part, _HOLD, dir_fd=found)
            os.close(found)
            found = inner
            if stat.S_ISLNK(os.fstat(found).st_mode):
                raise InstallError(f"{path} has become a link ({part}); nothing was done to it. Look who changes it.")
        yield found
    except OSError as error:
        raise InstallError(f"{path}: {error.strerror}.") from error
    finally:
        os.close(found)


def give(top: int, user: str, rights: str) -> None:
    """Let a user do that (`rX`, `rwX`) with an open file, or a folder and all in it, now and later."""
    entry = f"user:{user}:{rights}"
    _each(top, ["--modify", f"{entry},default:{entry}"], ["--modify", entry])


def take(top: int, user: str) -> None:
    """Take every right of a user on an open file, or a folder and all in it."""
    entry = f"user:{user}"
    _each(top, ["--remove", f"{entry},default:{entry}"], ["--remove", entry])


def _each(top: int, of_folders: Sequence[str], of_files: Sequence[str]) -> None:
    batches: dict[bool, list[int]] = {True: [], False: []}
    try:
        for descriptor in _tree(top):
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            batches[is_folder].append(descriptor)
            if len(batches[is_folder]) == AT_ONCE:
                _set(batches[is_folder], of_folders if is_folder else of_files)
        _set(batches[True], of_folders)
        _set(batches[False], of_files)
    finally:
        for descriptor in (*batches[True], *batches[False]):
            os.close(descriptor)


def _tree(top: int) -> Iterator[int]:
    """Descriptors of `top` and of everything beneath that is no link; they are the caller's to close."""
    yield os.dup(top)
    if not stat.S_ISDIR(os.fstat(top).st_mode):
        return
    for _, folders, files, here in os.fwalk(".", dir_fd=top, follow_symlinks=False):
        for name in (*folders, *files):
            try:
                found = os.open(name, _HOLD, dir_fd=here)
            except FileNotFoundError:
                continue  # gone meanwhile
            if stat.S_ISLNK(os.fstat(found).st_mode):
                os.close(found)
            else:
                yield found


def _set(descriptors: list[int], how: Sequence[str]) -> None:
    """Run setfacl on these, and close them."""
    if not descriptors:
        return
    names = [f"/proc/self/fd/{one}" for one in descriptors]
    run(["setfacl", *how, "--", *names], pass_fds=descriptors)
    while descriptors:
        os.close(descriptors.pop())
