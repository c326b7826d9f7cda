"""What is looked at every few seconds, and the two tables it is kept in."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from tests.support.processes import Use

T = TypeVar("T", Use, "Whole")


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


def read(folder: Path) -> list[Sample]:
    """What an earlier run has written there. Raises OSError."""
    uses: dict[float, dict[str, Use]] = {}
    for row in _rows(folder / "processes.csv"):
        uses.setdefault(float(row["second"]), {})[row["process"]] = _of(Use, row)
    wholes = {float(row["second"]): _of(Whole, row) for row in _rows(folder / "constellation.csv")}
    return [Sample(at_s, uses[at_s], whole) for at_s, whole in wholes.items() if at_s in uses]


def _of(kind: type[T], row: Mapping[str, str]) -> T:
    values: dict[str, Any] = {
        each.name: (float if "." in row[each.name] else int)(row[each.name]) for each in fields(kind)
    }
    return kind(**values)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
