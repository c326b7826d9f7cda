"""The one transaction of a turn: it begins with the first write and ends with the turn's one commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw


class Transaction:
    """What the tables of the journal are read and written through. Raises `apsw.Error`, and the bus ends."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self.dirty = False

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Every row, those of this transaction included."""
        return list(self._db.execute(sql, tuple(values)))

    def write(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Change something; how many rows that were."""
        if not self.dirty:
            self._db.execute("BEGIN IMMEDIATE")
            self.dirty = True
        self._db.execute(sql, tuple(values))
        return self._db.changes()

    def commit(self) -> None:
        """Make it durable. When it returns, it is on disk."""
        if self.dirty:
            self._db.execute("COMMIT")
            self.dirty = False
