"""What was measured, and the one table it is shown in."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Measured:
    """One value of one round. `target` is the least that is wanted, where something is."""

    name: str
    value: float
    unit: str
    target: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """The values of all rounds."""

    name: str
    unit: str
    values: tuple[float, ...]
    target: float | None
    note: str

    @property
    def median(self) -> float:
        """The middle value."""
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None without one."""
        return None if self.target is None else self.median >= self.target

    def to_json(self) -> dict[str, Any]:
        """As `--json` writes it."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "low": min(self.values),
            "high": max(self.values),
            "values": list(self.values),
            "target": self.target,
            "met": self.met,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """A benchmark that could not run here, and why."""

    name: str
    why: str


def gather(rounds: Iterable[Sequence[Measured]]) -> list[Figure]:
    """The figures of several rounds, in the order they first appeared."""
    found: dict[str, list[Measured]] = {}
    for measured in rounds:
        for one in measured:
            found.setdefault(one.name, []).append(one)
    return [
        Figure(name, many[0].unit, tuple(one.value for one in many), many[0].target, many[0].note)
        for name, many in found.items()
    ]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` % of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def table(figures: Sequence[Figure], skipped: Sequence[Skipped], where: str) -> Table:
    """The figures beside their targets."""
    found = Table(title=f"Ligand on {os.cpu_count()} × {_processor()}, {where}", title_justify="left")
    for heading in ("figure", "median", "lowest – highest", "unit", "target", "", "how"):
        numeric = heading in ("median", "lowest – highest", "target")
        found.add_column(heading, justify="right" if numeric else "left", no_wrap=heading in ("figure", "median"))
    for figure in figures:
        found.add_row(*_row(figure))
    for one in skipped:
        found.add_row(one.name, "skipped", "", "", "", "", one.why)
    return found


def _row(figure: Figure) -> tuple[str, ...]:
    spread = f"{shown(min(figure.values))} – {shown(max(figure.values))}" if len(figure.values) > 1 else ""
    target = f"≥ {shown(figure.target)}" if figure.target is not None else ""
    verdict = {None: "", True: "met", False: "missed"}[figure.met]
    return figure.name, shown(figure.median), spread, figure.unit, target, verdict, figure.note


def shown(value: float) -> str:
    """A number with about three digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(named, platform.machine())
