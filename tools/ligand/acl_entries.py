"""Access control lists as the kernel keeps them (acl(5), `linux/posix_acl_xattr.h`), and how a user is put into one.

A list is a mapping of (tag, id) to permissions 0..7; the id of an entry without one is `NOBODY`. Named entries and the
owning group count as far as the mask lets them. Whoever is added must not widen the mask for those who are there, so
each is first set to what it really has.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping

Entries = Mapping[tuple[int, int], int]
Lists = dict[str, Entries | None]
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
NOBODY = 0xFFFFFFFF
_OWNER, _USER, _OWN_GROUP, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_VERSION, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")
PRIVATE: Entries = {(_OWNER, NOBODY): 7, (_OWN_GROUP, NOBODY): 0, (_OTHER, NOBODY): 0}
"""The default list of a folder that had none: what is made in it is not opened to anybody by having one."""


def parsed(raw: bytes) -> Entries:
    """The list in an extended attribute."""
    return {(tag, who): may for tag, may, who in _ENTRY.iter_unpack(raw[_VERSION.size :])}


def packed(entries: Entries) -> bytes:
    """The extended attribute of a list."""
    return _VERSION.pack(2) + b"".join(_ENTRY.pack(tag, may, who) for (tag, who), may in sorted(entries.items()))


def read(path: str, kind: str) -> Entries | None:
    """A list of a file; a mode is a list of three. None when there is none. Raises `OSError`."""
    try:
        return parsed(os.getxattr(path, kind))
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
    if kind == DEFAULT:
        return None
    mode = os.stat(path).st_mode
    return {(_OWNER, NOBODY): mode >> 6 & 7, (_OWN_GROUP, NOBODY): mode >> 3 & 7, (_OTHER, NOBODY): mode & 7}


def settled(entries: Entries) -> Entries:
    """The same rights without a mask."""
    mask = entries.get((_MASK, NOBODY), 7)
    held_by_mask = (_USER, _OWN_GROUP, _GROUP)
    return {key: may & mask if key[0] in held_by_mask else may for key, may in entries.items() if key[0] != _MASK}


def given(entries: Entries, user: int, rights: str) -> Entries:
    """With a user who may do that; `X` is `x` where somebody has it, or where the rights are of a folder."""
    found = dict(settled(entries))
    anybody = any(may & 1 for may in found.values())
    may = sum({"r": 4, "w": 2, "x": 1, "X": int(anybody)}[letter] for letter in rights)
    return _masked({**found, (_USER, user): may})


def taken(entries: Entries, user: int) -> Entries:
    """Without that user."""
    return _masked({key: may for key, may in settled(entries).items() if key != (_USER, user)})


def without(entries: Entries, user: int) -> Entries:
    """Without that user, the mask as it is."""
    return {key: may for key, may in entries.items() if key != (_USER, user)}


def has(entries: Entries, user: int) -> bool:
    """Whether a user is named."""
    return (_USER, user) in entries


def named(entries: Entries | None, but: int = NOBODY) -> set[tuple[int, int]]:
    """The users and groups that are named, without that user."""
    return {key for key in entries or {} if key[0] in (_USER, _GROUP)} - {(_USER, but)}


def closed(entries: Entries, kind: str, user: int, owner: int) -> Entries | None:
    """What is left of a list without that user, where nothing else tells what was before; None for no default list.

    Naming the owner gives nothing on a file, and in a default list that is otherwise ours it was for that user's sake.
    """
    left, plain = taken(entries, user), taken(taken(entries, user), owner)
    if kind == ACCESS:
        return plain
    ours_alone = not named(plain) and not plain[(_OWN_GROUP, NOBODY)] and not plain[(_OTHER, NOBODY)]
    return None if ours_alone else left


def _masked(entries: Entries) -> Entries:
    if not named(entries):
        return entries
    mask = 0
    for (tag, _), may in entries.items():
        mask |= may if tag in (_USER, _OWN_GROUP, _GROUP) else 0
    return {**entries, (_MASK, NOBODY): mask}
