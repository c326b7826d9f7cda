"""What was said aloud, on disk: spoken words cannot be taken back, so a crash must not have them said twice."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

KEEP = 1000
BEGUN, AGAIN, ENDED = "begun", "again", "ended"


@dataclass(slots=True)
class Ledger:
    """One line for each beginning and each end, by the id of the signal that asked for it."""

    path: Path
    _begun: dict[str, int] = field(default_factory=dict)
    _ended: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, waiting: Collection[str]) -> Ledger:
        """Read it; what is long over and no longer waits is left out. A line cut by a crash counts for nothing."""
        found = cls(path)
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                found._take(orjson.loads(line))
            except (orjson.JSONDecodeError, KeyError, TypeError):
                continue
        for known in list(found._ended)[:-KEEP]:
            if known not in waiting:
                del found._ended[known]
        found._rewrite()
        return found

    def begun(self, signal_id: str) -> int:
        """How often saying it was begun and not ended."""
        return self._begun.get(signal_id, 0)

    def ended(self, signal_id: str) -> dict[str, Any] | None:
        """How it ended, when it did."""
        return self._ended.get(signal_id)

    def begin(self, signal_id: str) -> None:
        """From the next moment on it may be heard."""
        self._add({"id": signal_id, "what": BEGUN})

    def again(self, signal_id: str) -> None:
        """It made room, or the loudspeaker went: that it was begun does not count."""
        self._add({"id": signal_id, "what": AGAIN})

    def end(self, signal_id: str, how: dict[str, Any]) -> None:
        """It was said, or will not be."""
        self._add({"id": signal_id, "what": ENDED, "how": how})

    def _take(self, line: dict[str, Any]) -> None:
        if line["what"] == ENDED:
            self._ended[line["id"]] = line["how"]
            self._begun.pop(line["id"], None)
        elif line["what"] == AGAIN:
            self._begun.pop(line["id"], None)
        else:
            self._begun[line["id"]] = self._begun.get(line["id"], 0) + line.get("times", 1)

    def _add(self, line: dict[str, Any]) -> None:
        with self.path.open("ab") as file:
            file.write(orjson.dumps(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._take(line)

    def _rewrite(self) -> None:
        lines: list[dict[str, Any]] = [{"id": one, "what": ENDED, "how": how} for one, how in self._ended.items()]
        lines += [{"id": one, "what": BEGUN, "times": times} for one, times in self._begun.items()]
        fresh = self.path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.writelines(orjson.dumps(line) + b"\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
