"""What a list was before a grant changed it, kept with the file where the list after the revoke would not tell.

It is the extended attribute `trusted.ligand.before`, which root alone sees and which goes where the file goes: for each
kind of list the one before, and the one that was set. When somebody has changed the list since, theirs counts.
"""

from __future__ import annotations

import errno
import json
import os

from tools.ligand.acl_entries import Entries, packed, parsed

NAME = "trusted.ligand.before"
Kept = dict[str, tuple[Entries, Entries]]


def load(path: str) -> Kept:
    """What is kept of a file: kind -> (before, what was set). Raises `OSError`."""
    try:
        raw = os.getxattr(path, NAME)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        return {}
    found = json.loads(raw)
    return {kind: (parsed(bytes.fromhex(one[0])), parsed(bytes.fromhex(one[1]))) for kind, one in found.items()}


def save(path: str, kept: Kept) -> None:
    """Keep that, and nothing else. Raises `OSError`."""
    if kept == load(path):
        return
    if kept:
        found = {kind: [packed(one).hex() for one in pair] for kind, pair in kept.items()}
        os.setxattr(path, NAME, json.dumps(found).encode())
    else:
        os.removexattr(path, NAME)
