"""What was gathered for a question that a model is being asked: kept on disk, so that a kill costs no question twice.

After a crash the same requests are made in the same words, and the bus answers those that were answered already.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import orjson

KEPT_S = 7 * 24 * 3600.0


class Notebooks:
    """One file a question in a folder of its own; gone when the question is answered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, identity: str) -> dict[str, Any] | None:
        """What was noted; None when there is nothing, or nothing whole."""
        try:
            found = orjson.loads(self._path(identity).read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        return found if isinstance(found, dict) else None

    def has(self, identity: str) -> bool:
        """Whether a model was asked already."""
        return self._path(identity).exists()

    def write(self, identity: str, notes: dict[str, Any]) -> None:
        """Note it, on disk when this returns. Raises OSError."""
        path = self._path(identity)
        self._folder.mkdir(mode=0o750, exist_ok=True)
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as out:
            out.write(orjson.dumps(notes))
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(path)

    def forget(self, identity: str) -> None:
        """The question is answered."""
        self._path(identity).unlink(missing_ok=True)

    def sweep(self, now: float | None = None) -> None:
        """Forget questions that were never answered: given up as dead letters."""
        before = (time.time() if now is None else now) - KEPT_S
        for path in self._folder.glob("*"):
            if path.stat().st_mtime < before:
                path.unlink(missing_ok=True)

    def _path(self, identity: str) -> Path:
        return self._folder / f"{identity}.json"
