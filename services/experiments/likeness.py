"""What a new file has in common with the one whose place it takes: owner, mode, and attributes with the access list."""

from __future__ import annotations

import errno
import os
import stat

OURS = ("user.", "system.posix_acl")
"""Attributes that both must have in common; the others are the system's business."""
_UNKEPT = (errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENODATA)


class OwnerError(PermissionError):
    """This process may not give a file to its owner; the text names whom."""


def liken(handle: int, present: int) -> None:
    """Give an open file what the present one has, as far as it is not the same. Raises `OwnerError`, OSError."""
    wanted, mine = os.fstat(present), os.fstat(handle)
    if (wanted.st_uid, wanted.st_gid) != (mine.st_uid, mine.st_gid):
        try:
            os.fchown(handle, wanted.st_uid, wanted.st_gid)
        except PermissionError as error:
            raise OwnerError(f"uid {wanted.st_uid}, gid {wanted.st_gid}") from error
    os.fchmod(handle, stat.S_IMODE(wanted.st_mode))
    theirs = _attributes(present)
    for name in _attributes(handle) - theirs:
        if name.startswith(OURS):  # the folder's default list would let others in
            os.removexattr(handle, name)
    for name in theirs:
        _copy(name, handle, present)


def _copy(name: str, handle: int, present: int) -> None:
    try:
        os.setxattr(handle, name, os.getxattr(present, name))
    except OSError as error:
        # labels of a security module are its own business, and on the new file already
        if error.errno not in _UNKEPT or name.startswith(OURS):
            raise


def _attributes(handle: int) -> set[str]:
    """The names of its extended attributes; none where the file system has no such thing."""
    try:
        return set(os.listxattr(handle))
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return set()
