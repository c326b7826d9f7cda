"""Every decision, in the daemon's own folder: JSON lines, the newest file kept small by turning it over.

Nothing rests on it: what must not be lost is in the journal. A decision that is made again after a crash stands twice;
readers take the later one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from services.policy_engine.model import Decision, Outcome
from signals.envelope import rfc3339

NAME = "decisions.jsonl"


class History:
    """Writes decisions; at most `files` files of about `size` bytes."""

    def __init__(self, folder: Path, size: int, files: int) -> None:
        self._path = folder / NAME
        self._size = size
        self._files = files
        self._out = self._path.open("ab")
        self.recent: dict[str, deque[dict[str, Any]]] = {}

    def add(self, decision: Decision, emitted: list[str], asked: str | None = None) -> None:
        """Keep one decision."""
        line = line_of(decision, emitted)
        if asked:
            line["asked"] = asked
        if decision.outcome in (Outcome.FIRED, Outcome.WOULD_FIRE):
            self.recent.setdefault(decision.rule, deque(maxlen=50)).append(line)
        self._out.write(orjson.dumps(line, default=str) + b"\n")
        if self._out.tell() >= self._size:
            self._turn_over()

    def flush(self) -> None:
        """Let others read what was added."""
        self._out.flush()

    def close(self) -> None:
        """Let go of the file."""
        self._out.close()

    def _turn_over(self) -> None:
        self._out.close()
        for nth in range(self._files - 1, 0, -1):
            older = self._path if nth == 1 else self._path.with_name(f"{NAME}.{nth - 1}")
            if older.exists():
                older.replace(self._path.with_name(f"{NAME}.{nth}"))
        self._out = self._path.open("wb" if self._files == 1 else "ab")


def line_of(decision: Decision, emitted: list[str]) -> dict[str, Any]:
    """A decision as a line of the history."""
    found = decision.as_json()
    return {**found, "at": rfc3339(decision.at), "emitted": emitted}


def kept(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Every kept decision, oldest first; a torn last line is passed over."""
    files = sorted(folder.glob(f"{NAME}*"), key=lambda path: int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0)
    for path in reversed(files):
        with path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield orjson.loads(line)
