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


def load(descriptor: int) -> Kept:
    """What is kept of an open file: kind -> (before, what was set). Raises `OSError`."""
    try:
        raw = os.getxattr(f"/proc/self/fd/{descriptor}", NAME)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        return {}
    found = json.loads(raw)
    return {kind: (parsed(bytes.fromhex(one[0])), parsed(bytes.fromhex(one[1]))) for kind, one in found.items()}


def save(descriptor: int, kept: Kept) -> None:
    """Keep that, and nothing else. Raises `OSError`."""
    if kept == load(descriptor):
        return
    name = f"/proc/self/fd/{descriptor}"
    if kept:
        found = {kind: [packed(one).hex() for one in pair] for kind, pair in kept.items()}
        os.setxattr(name, NAME, json.dumps(found).encode())
    else:
        os.removexattr(name, NAME)
