"""renameat2(2) with RENAME_EXCHANGE, which Python does not have: two names change places in one step."""

from __future__ import annotations

import ctypes
import errno
import os

RENAME_EXCHANGE = 2
_UNKNOWN = (errno.EINVAL, errno.ENOSYS)


def exchange(folder: int, one: str, other: str) -> bool:
    """Whether two names in an open folder changed places; False where the file system or libc cannot do it.

    Raises OSError.
    """
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # a libc without it
        return False
    if renameat2(folder, os.fsencode(one), folder, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), one)
