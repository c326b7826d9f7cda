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
_LETTERS = {_OWNER: "u", _USER: "u", _OWN_GROUP: "g", _GROUP: "g", _MASK: "m", _OTHER: "o"}
_VERSION, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")
PRIVATE: Entries = {(_OWNER, NOBODY): 7, (_OWN_GROUP, NOBODY): 0, (_OTHER, NOBODY): 0}
"""The default list of a folder that had none: what is made in it is not opened to anybody by having one."""


def parsed(raw: bytes) -> Entries:
    """The list in an extended attribute."""
    return {(tag, who): may for tag, may, who in _ENTRY.iter_unpack(raw[_VERSION.size :])}


def packed(entries: Entries) -> bytes:
    """The extended attribute of a list."""
    return _VERSION.pack(2) + b"".join(_ENTRY.pack(tag, may, who) for (tag, who), may in sorted(entries.items()))


def read(descriptor: int, kind: str) -> Entries | None:
    """A list of an open file; a mode is a list of three. None when there is none. Raises `OSError`."""
    try:
        return parsed(os.getxattr(f"/proc/self/fd/{descriptor}", kind))
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
    if kind == DEFAULT:
        return None
    mode = os.fstat(descriptor).st_mode
    return {(_OWNER, NOBODY): mode >> 6 & 7, (_OWN_GROUP, NOBODY): mode >> 3 & 7, (_OTHER, NOBODY): mode & 7}


def text(entries: Entries, prefix: str = "") -> str:
    """The list as setfacl(1) takes it."""
    said = []
    for (tag, who), may in sorted(entries.items()):
        rights = "".join(letter if may & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
        said.append(f"{prefix}{_LETTERS[tag]}:{'' if who == NOBODY else who}:{rights}")
    return ",".join(said)


def settled(entries: Entries) -> Entries:
    """The same rights without a mask."""
    mask = entries.get((_MASK, NOBODY), 7)
    held_by_mask = (_USER, _OWN_GROUP, _GROUP)
    return {key: may & mask if key[0] in held_by_mask else may for key, may in entries.items() if key[0] != _MASK}


def loses(entries: Entries) -> bool:
    """Whether `settled` forgets something that the mask had only hidden."""
    return settled(entries) != {key: may for key, may in entries.items() if key[0] != _MASK}


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


def named(entries: Entries | None) -> set[tuple[int, int]]:
    """The users and groups that are named."""
    return {key for key in entries or {} if key[0] in (_USER, _GROUP)}


def ours_alone(default: Entries) -> bool:
    """Whether a default list is the one that is made for a folder that had none."""
    return not named(default) and not default[(_OWN_GROUP, NOBODY)] and not default[(_OTHER, NOBODY)]


def _masked(entries: Entries) -> Entries:
    if not named(entries):
        return entries
    mask = 0
    for (tag, _), may in entries.items():
        mask |= may if tag in (_USER, _OWN_GROUP, _GROUP) else 0
    return {**entries, (_MASK, NOBODY): mask}
