"""Who may open the bus's two sockets: the kernel's answer, before the bus is asked anything.

In user mode only the user who runs the bus. In system mode an access control list (acl(5)) on each socket lets the
two shared groups in; the format of the extended attribute is that of the kernel's `posix_acl_xattr.h`.
"""

from __future__ import annotations

import grp
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from services.bus.access import PEOPLE, Mode
from signals.errors import ConfigError

DAEMONS = "ligand"
Door = Literal["bus", "mirror"]
MAY_OPEN: dict[Door, tuple[str, ...]] = {"bus": (DAEMONS, PEOPLE), "mirror": (PEOPLE,)}
"""The groups that may connect to each socket in system mode."""

_ATTRIBUTE = "system.posix_acl_access"
_VERSION = 2
_USER_OBJ, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x04, 0x08, 0x10, 0x20
_NOBODY = 0xFFFFFFFF
_NONE, _READ_WRITE = 0, 6


def close_to_others(path: Path, door: Door, mode: Mode) -> tuple[str, ...]:
    """Set who may connect to the socket at `path`; which groups could not be let in because there is none such.

    Raises `ConfigError` when the file system takes no access control list.
    """
    if mode == "user":
        path.chmod(0o600)
        return ()
    gids = {name: _gid(name) for name in MAY_OPEN[door]}
    wanted = access_list(gid for gid in gids.values() if gid is not None)
    try:
        if _ATTRIBUTE not in os.listxattr(path) or os.getxattr(path, _ATTRIBUTE) != wanted:
            path.chmod(0o600)  # not while the list is right: who connects at that instant would be turned away
            os.setxattr(path, _ATTRIBUTE, wanted)
    except OSError as error:
        raise ConfigError(
            f"Cannot let {' and '.join(MAY_OPEN[door])} connect to {path}: {error.strerror}. "
            "Its file system must support access control lists; /run does on every usual system."
        ) from error
    return tuple(name for name, gid in gids.items() if gid is None)


def access_list(gids: Iterable[int]) -> bytes:
    """Read and write for the owner and for these groups, nothing for anybody else."""
    groups = [(_GROUP, _READ_WRITE, gid) for gid in sorted(gids)]
    entries = [
        (_USER_OBJ, _READ_WRITE, _NOBODY),
        (_GROUP_OBJ, _NONE, _NOBODY),
        *groups,
        (_MASK, _READ_WRITE, _NOBODY),
        (_OTHER, _NONE, _NOBODY),
    ]
    return struct.pack("<I", _VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def _gid(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None
