"""The table of the small state that daemons keep with their acknowledgements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from services.bus.transaction import Transaction
from signals.errors import UsageError

WHOLE_MAX_BYTES = 16 << 20
ENTRY_BYTES = 100
"""What a key costs beside its own bytes and its value's."""


class StateTable:
    """JSON by daemon and key. All of a daemon's goes with the answer to its attach, and so has a bound."""

    def __init__(self, rows: Transaction) -> None:
        self._rows = rows
        self._wholes: Counter[str] = Counter()
        self._sizes: dict[str, Counter[str]] = {}

    def of(self, daemon: str) -> dict[str, bytes]:
        """The state a daemon has put, as JSON by key."""
        return dict(self._rows.all("SELECT key, value FROM state WHERE daemon = ?", [daemon]))

    def check_room(self, daemon: str, puts: Mapping[str, bytes | None]) -> None:
        """Raise `UsageError` when with these a daemon would keep more than it may; who forgets keys is heard."""
        known = self._sizes_of(daemon)
        grown = sum(_size(key, value) - known[key] for key, value in puts.items())
        if grown > 0 and self._wholes[daemon] + grown > WHOLE_MAX_BYTES:
            raise UsageError(
                f"{daemon} would keep more than {WHOLE_MAX_BYTES:,} bytes of state, in {len(known):,} keys so far. "
                "State is small: let the handler forget keys (put None), or keep a file or a database."
            )

    def put(self, daemon: str, key: str, value: bytes | None) -> None:
        """Keep one value of a daemon's, or forget it (None)."""
        known, size = self._sizes_of(daemon), _size(key, value)
        self._wholes[daemon] += size - known[key]
        known[key] = size
        if value is None:
            del known[key]
            self._rows.write("DELETE FROM state WHERE daemon = ? AND key = ?", [daemon, key])
        else:
            self._rows.write(
                "INSERT INTO state VALUES (?, ?, ?) ON CONFLICT (daemon, key) DO UPDATE SET value = excluded.value",
                [daemon, key, value],
            )

    def _sizes_of(self, daemon: str) -> Counter[str]:
        found = self._sizes.get(daemon)
        if found is None:
            found = Counter({key: _size(key, value) for key, value in self.of(daemon).items()})
            self._sizes[daemon], self._wholes[daemon] = found, found.total()
        return found


def _size(key: str, value: bytes | None) -> int:
    return 0 if value is None else len(key) + len(value) + ENTRY_BYTES
