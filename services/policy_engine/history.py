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
from services.runtime.appending import append_to
from signals.envelope import rfc3339

NAME = "decisions.jsonl"
RECENT = 50
"""As many as a model may be shown of one rule."""
_TEXTS = ("at", "rule", "key", "outcome", "signal", "signal_id")
_LISTS = ("because", "needed", "actions", "emitted")


class History:
    """Writes decisions; at most `files` files of about `size` bytes."""

    def __init__(self, folder: Path, size: int, files: int) -> None:
        self._path = folder / NAME
        self._size = size
        self._files = files
        self._lines: list[bytes] = []
        self.trouble = ""
        """Why the last decisions could not be kept; empty when they were."""
        self.recent: dict[str, deque[Mapping[str, Any]]] = {}
        """The last decisions of each rule that acted, or would have."""

    def remember(self) -> None:
        """Take what was decided by processes before this one for recent too. Raises OSError."""
        for line in kept(self._path.parent):
            self._note(line)

    def add(self, decision: Decision, emitted: list[str], asked: str | None = None) -> None:
        """Keep one decision."""
        line = line_of(decision, emitted)
        if asked:
            line["asked"] = asked
        self._note(line)
        self._lines.append(orjson.dumps(line, default=str) + b"\n")

    def _note(self, line: Mapping[str, Any]) -> None:
        if line["outcome"] in (Outcome.FIRED, Outcome.WOULD_FIRE):
            self.recent.setdefault(line["rule"], deque(maxlen=RECENT)).append(line)

    def flush(self) -> None:
        """Let others read what was added. A full disk keeps no rule from acting: see `trouble`."""
        lines, self._lines = b"".join(self._lines), []
        if not lines:
            return
        try:
            if self._append(lines) >= self._size:
                self._turn_over()
            self.trouble = ""
        except OSError as error:
            self.trouble = f"decisions are not kept in {self._path}: {error.strerror or error}"

    def _append(self, lines: bytes) -> int:
        try:
            return append_to(self._path, lines, sync=False)
        except FileNotFoundError:  # somebody took the folder away
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            return append_to(self._path, lines, sync=False)

    def _turn_over(self) -> None:
        for nth in range(self._files - 1, 0, -1):
            older = self._path if nth == 1 else self._path.with_name(f"{NAME}.{nth - 1}")
            if older.exists():
                older.replace(self._path.with_name(f"{NAME}.{nth}"))
        if self._files == 1:
            self._path.unlink()


def line_of(decision: Decision, emitted: list[str]) -> dict[str, Any]:
    """A decision as a line of the history."""
    found = decision.as_json()
    return {**found, "at": rfc3339(decision.at), "emitted": emitted}


def kept(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Every kept decision, oldest first; a torn line, or one that somebody edited, is passed over."""
    files = sorted(folder.glob(f"{NAME}*"), key=lambda path: int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0)
    for path in reversed(files):
        with path.open("rb") as lines:
            for line in lines:
                try:
                    found = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue
                if line.endswith(b"\n") and _is_decision(found):
                    yield found


def _is_decision(found: Any) -> bool:
    """Whether all is there, and in its form, that readers look into."""
    return (
        isinstance(found, dict)
        and all(isinstance(found.get(name), str) for name in _TEXTS)
        and all(isinstance(found.get(name), list) for name in _LISTS)
        and all(isinstance(one, list) and len(one) == 2 for one in found["actions"])
    )
