"""What Ligand's daemons wrote into a person's folders, as their own signals told."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from services.advisory_monitor.hearing import short

HASHED_BYTES = 1 << 20
PATIENCE_S = 10.0
"""How long a change of a file that a daemon writes waits for that daemon's signal."""
_BESIDE = re.compile(r"\.(?P<new>.+)\.new|(?P<backup>.+)\.bak\.\d+")


class OwnWrites:
    """Which changes are Ligand's own: of the registry those with the content that was told, and its neighbours."""

    def __init__(self, heard: Mapping[str, Any]) -> None:
        self._heard = heard

    def patience_s(self, path: str) -> float:
        """How long to wait until a change of this path is told at all."""
        return PATIENCE_S if self._written(path) is not None else 0.0

    def holds(self, path: str, kind: str, content: str | None) -> bool:
        """Whether a daemon did it. `content` is the SHA-256 of what is there now."""
        beside = _BESIDE.fullmatch(os.path.basename(path))
        if beside is not None:
            name = beside["new"] or beside["backup"]
            if self._written(os.path.join(os.path.dirname(path), name)) is not None:
                return True
        written = self._written(path)
        if written is None:
            return False
        return kind == "created" if written["sha256"] is None else content == written["sha256"]

    def _written(self, path: str) -> Any:
        return self._heard.get(f"written|{short(path)}")


def digest(path: str) -> dict[str, Any]:
    """Size and, of a regular file that is not large, SHA-256; nothing of what has gone or may not be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return {}
    with os.fdopen(handle, "rb") as stream:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            return {}
        if found.st_size > HASHED_BYTES:
            return {"size_bytes": found.st_size}
        content = stream.read(HASHED_BYTES)
        return {"size_bytes": len(content), "sha256": sha256(content).hexdigest()}
