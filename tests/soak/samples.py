"""What is looked at every few seconds, and the two tables it is kept in."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from tests.support.processes import Use


@dataclass(frozen=True, slots=True)
class Whole:
    """The constellation at one instant. Bytes on disk by what they are for; latencies in milliseconds.

    `signals` were journaled so far; `answer_ms` is the worst wait for an acknowledgement since the last sample,
    `p50_ms` and `p99_ms` are root → end of the chain's stories that ended since then; `behind` waits for the
    consumer that is stopped.
    """

    signals: int = 0
    stories_begun: int = 0
    stories_ended: int = 0
    behind: int = 0
    answer_ms: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    journal_bytes: int = 0
    intents_bytes: int = 0
    daemons_bytes: int = 0
    logs_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look, `at_s` seconds after all were ready."""

    at_s: float
    uses: Mapping[str, Use]
    whole: Whole


class Tables:
    """Two CSV files, written as the run goes: `processes.csv` and `constellation.csv`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._processes = (folder / "processes.csv").open("w", newline="")
        self._constellation = (folder / "constellation.csv").open("w", newline="")
        self._write(self._processes, "second", "process", *(field.name for field in fields(Use)))
        self._write(self._constellation, "second", *(field.name for field in fields(Whole)))

    def add(self, sample: Sample) -> None:
        """One row, and one for each process."""
        second = round(sample.at_s, 1)
        self._write(self._constellation, second, *(round(value, 2) for value in astuple(sample.whole)))
        for name, use in sample.uses.items():
            self._write(self._processes, second, name, *(round(value, 2) for value in astuple(use)))

    def _write(self, file, *row: object) -> None:
        csv.writer(file).writerow(row)
        file.flush()

    def close(self) -> None:
        """Let go of the files."""
        self._processes.close()
        self._constellation.close()
