"""Access control lists on a tree of somebody else's files, set by root without ever following a link.

Each file is opened first, then the kernel is told the open descriptor: what somebody puts in its place meanwhile is not
touched. Who owns a folder keeps every right on what the user makes in it, and owns it once the user's rights are taken.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

from tools.ligand import acl_before as before
from tools.ligand.acl_entries import (
    ACCESS,
    DEFAULT,
    PRIVATE,
    Lists,
    closed,
    given,
    has,
    named,
    packed,
    read,
    without,
)
from tools.ligand.layout import InstallError
from tools.ligand.tree import Entry, walk

ROOT = 0
SHOWN = 5


def give(top: int, user: int, rights: str) -> list[str]:
    """Let a user (a number) do that (`rX`, `rwX`) with an open file, or a folder and all in it, now and later.

    Nobody else gains or loses by it, but for who owns a folder in which the user may write. What could not be done on
    file systems that take no lists, in sentences. Raises `InstallError` naming what else could not.
    """
    return _each(top, lambda one: _give(one, user, rights), (errno.ENOTSUP, errno.EROFS))


def take(top: int, user: int) -> list[str]:
    """Take every right of a user on an open file, or a folder and all in it, and leave what was before it.

    What that user owns in it becomes its person's. Returns and raises as `give`.
    """
    return _each(top, lambda one: _take(one, user), (errno.ENOTSUP,))


def _give(entry: Entry, user: int, rights: str) -> None:
    rights = rights.replace("X", "x") if entry.is_folder else rights
    owner = entry.outside_of(user).uid
    kept, now = before.load(entry.path), _lists(entry)
    wanted: Lists = {}
    for kind, found in now.items():
        changed = given(PRIVATE if found is None else found, user, rights)
        if "w" in rights and _is_owners(kind, entry, user, owner) and not (kind == DEFAULT and has(changed, owner)):
            changed = given(changed, owner, "rwx" if kind == DEFAULT else rights)
        wanted[kind] = changed
        ours = kept.pop(kind, None)
        first = ours[0] if ours is not None and ours[1] == found else found
        if first is not None and has(first, user):
            first = closed(first, kind, user, owner)
        if first is not None and closed(changed, kind, user, owner) != first:
            kept[kind] = (first, changed)
    before.save(entry.path, kept)
    _put(entry, wanted, now)


def _is_owners(kind: str, entry: Entry, user: int, owner: int) -> bool:
    """Whether the owner needs an entry of its own: on what the user has made, and for what the user will make."""
    return owner not in (ROOT, user) and (kind == DEFAULT or entry.uid == user)


def _take(entry: Entry, user: int) -> None:
    _hand_over(entry, user)
    kept, now = before.load(entry.path), _lists(entry)
    wanted: Lists = {}
    for kind, found in now.items():
        ours, above = kept.pop(kind, None), entry.parent.known.get(kind) if entry.parent else None
        if found is None or not has(found, user):
            wanted[kind] = found
            continue
        left = closed(found, kind, user, entry.uid)
        if ours is not None and ours[1] == found:  # nobody has changed it
            first = without(ours[0], user)
            if named(first, but=entry.uid) == named(left, but=entry.uid):
                left = first
            elif left is not None:
                kept[kind] = (first, left)  # another grant is still in it
        elif above is not None and above[0] == found:  # it came from there, so it becomes what that becomes
            left = above[1]
        wanted[kind] = left
        if kind == DEFAULT:
            entry.known[kind] = (found, left)
    _put(entry, wanted, now)
    before.save(entry.path, kept)


def _hand_over(entry: Entry, user: int) -> None:
    """Make the owner of the folder around it own what the user has made."""
    owner = entry.outside_of(user)
    if entry.uid == user and owner.uid != user:
        os.chown(entry.path, owner.uid, owner.gid)
        entry.uid, entry.gid = owner.uid, owner.gid


def _lists(entry: Entry) -> Lists:
    return {kind: read(entry.path, kind) for kind in ((ACCESS, DEFAULT) if entry.is_folder else (ACCESS,))}


def _put(entry: Entry, wanted: Lists, now: Lists) -> None:
    for kind, entries in wanted.items():
        if entries == now[kind]:
            continue
        if entries is None:
            os.removexattr(entry.path, kind)
        else:
            os.setxattr(entry.path, kind, packed(entries))


def _each(top: int, change: Callable[[Entry], None], passing: Sequence[int]) -> list[str]:
    """Change the lists of a tree. Which file systems were left out, for one of the errors that are let pass.

    Raises `InstallError` for all others, once everything that can be changed is.
    """
    wrong: list[str] = []
    bare: dict[int, str] = {}
    try:
        for one in walk(top, wrong.append):
            try:
                change(one)
            except OSError as error:
                if error.errno in passing:
                    said = f"{one.name} is on a file system that takes no access control lists ({error.strerror})"
                    bare.setdefault(one.status.st_dev, f"{said}: its modes alone count there")
                else:
                    wrong.append(f"{one.name}: {error.strerror}")
    except OSError as error:
        wrong.append(f"the rest could not be looked into: {error.strerror}")
    if wrong:
        more = [f"and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
        raise InstallError("Not everything could be done: " + "; ".join([*wrong[:SHOWN], *more]) + ".")
    return [*bare.values()]
