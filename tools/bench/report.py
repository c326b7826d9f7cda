"""What was measured, and the one table it is shown in."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Measured:
    """One value of one round. `target` is the least that is wanted, `limit` the most, where something is.

    A yardstick names in `of` the figure that stands beside it; `aim` is the least, `bound` the most that the
    figure divided by the yardstick should be.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    note: str = ""
    limit: float | None = None
    of: str = ""
    aim: float | None = None
    bound: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """The values of all rounds; of a yardstick also, round by round, how many times it the figure is."""

    first: Measured
    values: tuple[float, ...]
    ratios: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """What was measured."""
        return self.first.name

    @property
    def median(self) -> float:
        """The middle value."""
        return median(self.values)

    @property
    def ratio(self) -> float | None:
        """The middle ratio; None where there is none."""
        return median(self.ratios) if self.ratios else None

    @property
    def met(self) -> bool | None:
        """Whether the median, or the ratio, is as wanted; None where nothing is."""
        if self.ratio is not None:
            return _within(self.ratio, self.first.aim, self.first.bound)
        return _within(self.median, self.first.target, self.first.limit)

    def to_json(self) -> dict[str, Any]:
        """As `--json` writes it."""
        return {
            "name": self.name,
            "unit": self.first.unit,
            "median": self.median,
            "low": min(self.values),
            "high": max(self.values),
            "values": list(self.values),
            "target": self.first.target,
            "limit": self.first.limit,
            "of": self.first.of or None,
            "ratio": self.ratio,
            "ratios": list(self.ratios),
            "aim": self.first.aim,
            "bound": self.first.bound,
            "met": self.met,
            "note": self.first.note,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Figure:
        """What `to_json` gave. Raises KeyError or TypeError for anything else."""
        limits = {key: found[key] for key in ("target", "limit", "aim", "bound")}
        first = Measured(
            found["name"], found["values"][0], found["unit"], note=found["note"], of=found["of"] or "", **limits
        )
        return cls(first, tuple(found["values"]), tuple(found["ratios"]))


def _within(value: float, least: float | None, most: float | None) -> bool | None:
    if least is None and most is None:
        return None
    return (least is None or value >= least) and (most is None or value <= most)


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
    return [Figure(many[0], tuple(one.value for one in many), _ratios(many, found)) for many in found.values()]


def _ratios(many: Sequence[Measured], found: Mapping[str, Sequence[Measured]]) -> tuple[float, ...]:
    ours = found.get(many[0].of, [])
    return tuple(one.value / other.value for one, other in zip(ours, many, strict=False) if other.value)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` % of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def table(figures: Sequence[Figure], skipped: Sequence[Skipped], where: str) -> Table:
    """The figures, each with its yardsticks below it, beside what is wanted of them."""
    found = Table(title=f"Ligand on {where}", title_justify="left")
    for heading in headings():
        numeric = heading in ("median", "lowest – highest", "ratio", "wanted")
        found.add_column(heading, justify="right" if numeric else "left", no_wrap=heading in ("figure", "median"))
    for figure in figures:
        found.add_row(*cells(figure))
    for one in skipped:
        found.add_row(one.name, "skipped", "", "", "", "", "", one.why)
    return found


def headings() -> list[str]:
    """Of the columns of `cells`."""
    return ["figure", "median", "lowest – highest", "unit", "ratio", "wanted", "", "how"]


def cells(figure: Figure) -> list[str]:
    """A row of the table."""
    first = figure.first
    ratio = f"× {_spread(figure.ratios)}" if figure.ratios else ""
    verdict = {None: "", True: "met", False: "missed"}[figure.met]
    name = f"  beside {figure.name}" if first.of else figure.name
    spread = f"{shown(min(figure.values))} – {shown(max(figure.values))}" if len(figure.values) > 1 else ""
    return [name, shown(figure.median), spread, first.unit, ratio, _wanted(first), verdict, first.note]


def _spread(values: Sequence[float]) -> str:
    middle = shown(median(values))
    return f"{middle} ({shown(min(values))} – {shown(max(values))})" if len(values) > 1 else middle


def _wanted(first: Measured) -> str:
    least, most = (first.aim, first.bound) if first.of else (first.target, first.limit)
    sign = "× " if first.of else ""
    if least is not None:
        return f"{sign}≥ {shown(least)}"
    return f"{sign}≤ {shown(most)}" if most is not None else ""


def shown(value: float) -> str:
    """A number with about three digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def machine(where: str) -> str:
    """The processors, and where and how it was measured, in one line."""
    return f"{os.cpu_count()} × {_processor()}, {where}"


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(named, platform.machine())
