"""Access control lists on a tree of somebody else's files, set by root without ever following a link.

Each file is opened first, component by component, then setfacl(1) is told the open descriptor: what somebody puts in
its place meanwhile is not touched.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from tools.ligand import acl_before as before
from tools.ligand.acl_entries import (
    ACCESS,
    DEFAULT,
    PRIVATE,
    Lists,
    given,
    loses,
    named,
    ours_alone,
    read,
    taken,
    text,
    without,
)
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


def give(top: int, user: int, rights: str) -> None:
    """Let a user (a number) do that (`rX`, `rwX`) with an open file, or a folder and all in it, now and later.

    Nobody else gains or loses by it. Raises `InstallError` or `OSError`.
    """
    _each(top, lambda one: _giving(one, user, rights))


def take(top: int, user: int) -> None:
    """Take every right of a user on an open file, or a folder and all in it, and leave what was before it.

    Raises `InstallError` or `OSError`.
    """
    _each(top, lambda one: _taking(one, user))


def _giving(descriptor: int, user: int, rights: str) -> list[str]:
    is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    rights = rights.replace("X", "x") if is_folder else rights
    wanted: Lists = {}
    kept = before.load(descriptor)
    for kind, now in _lists(descriptor).items():
        changed = given(PRIVATE if now is None else now, user, rights)
        wanted[kind] = changed
        ours = kept.get(kind)
        first = ours[0] if ours is not None and ours[1] == now else now
        if first is not None and (loses(first) or (kind == DEFAULT and ours_alone(first))):
            kept[kind] = (without(first, user), changed)
        else:
            kept.pop(kind, None)
    before.save(descriptor, kept)
    return _arguments(descriptor, wanted)


def _taking(descriptor: int, user: int) -> list[str]:
    wanted: Lists = {}
    kept = before.load(descriptor)
    for kind, now in _lists(descriptor).items():
        wanted[kind] = None if now is None else taken(now, user)
        if now is None or kind not in kept or kept[kind][1] != now:  # nothing to go back to, or somebody changed it
            kept.pop(kind, None)
            if kind == DEFAULT and now is not None and ours_alone(taken(now, user)):
                wanted[kind] = None
            continue
        first = without(kept.pop(kind)[0], user)
        if named(first) == named(wanted[kind]):
            wanted[kind] = first
        else:
            kept[kind] = (first, taken(now, user))  # another grant is still in it
    before.save(descriptor, kept)
    return _arguments(descriptor, wanted)


def _lists(descriptor: int) -> Lists:
    kinds = (ACCESS, DEFAULT) if stat.S_ISDIR(os.fstat(descriptor).st_mode) else (ACCESS,)
    return {kind: read(descriptor, kind) for kind in kinds}


def _arguments(descriptor: int, wanted: Lists) -> list[str]:
    """What setfacl(1) is told; nothing when all is so already."""
    if wanted == _lists(descriptor):
        return []
    default = wanted.get(DEFAULT)
    said = [text(wanted[ACCESS] or {})] + ([text(default, "d:")] if default is not None else [])
    return [*(["--remove-default"] if default is None and DEFAULT in wanted else []), "--set", ",".join(said)]


def _each(top: int, change: Callable[[int], list[str]]) -> None:
    """Change the lists of a tree; files that are to have the same one are told to setfacl(1) together."""
    for some in _batches(_tree(top)):
        try:
            together: dict[tuple[str, ...], list[int]] = {}
            for descriptor in some:
                together.setdefault(tuple(change(descriptor)), []).append(descriptor)
            for how, alike in together.items():
                if how:
                    names = [f"/proc/self/fd/{one}" for one in alike]
                    run(["setfacl", *how, "--", *names], pass_fds=alike)
        finally:
            for descriptor in some:
                os.close(descriptor)


def _batches(descriptors: Iterator[int]) -> Iterator[list[int]]:
    while some := list(islice(descriptors, AT_ONCE)):
        yield some


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
