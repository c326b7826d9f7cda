"""What a salvage has kept and lost, as JSON and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHOWN = 10
LABELS = {"consumer": "consumers", "aside": "set aside", "state": "values of state", "dead": "dead letters"}
LOST_WORDS = {
    "consumer": "the cursors of consumers. One that is missing begins at the end: what it had not handled is not given",
    "aside": "what was set aside. Such a signal counts as handled",
    "state": "the small state of daemons. One that is missing begins anew",
    "dead": "the table of dead letters",
    "meta": "what the bus keeps of itself: pauses, and its running time",
}


@dataclass
class Salvaged:
    """What was kept and what was lost. `lost` are runs of `seq`, first and last; `incomplete` are tables."""

    signals: int = 0
    head: int = 0
    lost: list[tuple[int, int]] = field(default_factory=list)
    kept: dict[str, int] = field(default_factory=dict)
    incomplete: list[str] = field(default_factory=list)
    letters_from_file: int = 0
    deadlines_lost: int = 0
    log_frames_damaged: int = 0
    set_aside: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """As `-o json` shows it."""
        return {
            "signals": self.signals,
            "head": self.head,
            "lost_signals": sum(last - first + 1 for first, last in self.lost),
            "lost": [list(run) for run in self.lost],
            "kept": self.kept,
            "incomplete": self.incomplete,
            "dead_letters_from_file": self.letters_from_file,
            "deadlines_lost": self.deadlines_lost,
            "log_frames_damaged": self.log_frames_damaged,
            "kept_aside": str(self.set_aside) if self.set_aside else None,
        }


def words(found: Salvaged) -> Iterator[str]:
    """The result as a person reads it."""
    yield f"kept {found.signals:,} signals to #{found.head}" + "".join(
        f", {count:,} {LABELS[table]}" for table, count in found.kept.items() if table in LABELS
    )
    lost = sum(last - first + 1 for first, last in found.lost)
    runs = ", ".join(f"#{first}" if first == last else f"#{first} to #{last}" for first, last in found.lost[:SHOWN])
    more = f" and {len(found.lost) - SHOWN} more runs" if len(found.lost) > SHOWN else ""
    unknown = "signal" in found.incomplete and not found.head
    none = "what signals there were cannot be told" if unknown else "lost no signal"
    yield f"lost {lost:,} signal{'s' * (lost != 1)}: {runs}{more}" if lost else none
    for table in found.incomplete:
        if table in LOST_WORDS:
            yield f"lost in part: {LOST_WORDS[table]}"
    if found.letters_from_file:
        yield f"{found.letters_from_file:,} dead letters were taken from their file; all of them wait again"
    if found.deadlines_lost:
        yield f"{found.deadlines_lost:,} requests are lost that still waited for their answer: no time-out will come"
    if found.log_frames_damaged:
        yield f"{found.log_frames_damaged:,} pages of the write-ahead log were damaged"
    yield f"the damaged files: {found.set_aside}" if found.set_aside else "nothing was changed"
