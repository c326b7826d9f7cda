"""Line charts one below the other, over the same minutes, as one SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 960, 150, 70, 190, 60, 46
COLOURS = ("#0b6fa4", "#c8553d", "#3a7d44", "#8a5fbf", "#b8860b", "#5c6b73", "#d1495b", "#00798c", "#6b4226")


@dataclass(frozen=True, slots=True)
class Chart:
    """A heading with the unit, and the series: name -> (minute, value) pairs; a gap where minutes are missing."""

    heading: str
    series: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)

    @property
    def top(self) -> float:
        """The end of the scale: a round number above all values."""
        highest = max((value for points in self.series.values() for _, value in points), default=0.0)
        if highest <= 0:
            return 1.0
        step = 10.0 ** math.floor(math.log10(highest))
        return next(step * times for times in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * times >= highest)


def draw(title: str, minutes: float, charts: Sequence[Chart], shaded: tuple[float, float] | None, note: str) -> str:
    """The whole picture; `shaded` is a stretch of minutes, and `note` says what it means."""
    height = TOP + len(charts) * (HEIGHT + GAP) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        _text(LEFT, 24, title, size=16),
        _text(LEFT, 44, note, colour="#555555"),
    ]
    for nth, chart in enumerate(charts):
        lines += _chart(chart, TOP + nth * (HEIGHT + GAP) + 20, minutes, shaded)
    return "\n".join([*lines, "</svg>", ""])


def _chart(chart: Chart, top: int, minutes: float, shaded: tuple[float, float] | None) -> list[str]:
    wide = WIDTH - LEFT - RIGHT

    def x(minute: float) -> float:
        return LEFT + wide * minute / minutes

    def y(value: float) -> float:
        return top + HEIGHT * (1 - value / chart.top)

    lines = [_text(LEFT, top - 6, chart.heading)]
    if shaded:
        begin, end = map(x, shaded)
        lines.append(f'<rect x="{begin:.1f}" y="{top}" width="{end - begin:.1f}" height="{HEIGHT}" fill="#f4ead5"/>')
    for part in (0.0, 0.5, 1.0):
        level = y(chart.top * part)
        lines.append(f'<path d="M{LEFT} {level:.1f}h{wide}" stroke="#dddddd"/>')
        lines.append(_text(LEFT - 6, level + 4, f"{chart.top * part:,.10g}", anchor="end", colour="#555555"))
    for part in range(7):
        minute = minutes * part / 6
        lines.append(_text(x(minute), top + HEIGHT + 14, f"{minute:.3g} min", anchor="middle", colour="#555555"))
    names = sorted(chart.series, key=lambda name: -_last(chart.series[name]))
    for nth, name in enumerate(names):
        colour = COLOURS[list(chart.series).index(name) % len(COLOURS)]
        lines += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
            for points in _runs(chart.series[name], x, y)
        ]
        lines.append(_text(WIDTH - RIGHT + 10, top + 12 + 15 * nth, name, colour=colour))
    return lines


def _last(points: Sequence[tuple[float, float]]) -> float:
    return points[-1][1] if points else 0.0


def _runs(points, x, y) -> list[str]:
    """The polylines of a series: a new one after a gap of more than three usual steps."""
    if len(points) < 2:
        return []
    steps = sorted(after[0] - before[0] for before, after in pairwise(points))
    usual = steps[len(steps) // 2]
    runs: list[list[str]] = [[]]
    for nth, (minute, value) in enumerate(points):
        if nth and minute - points[nth - 1][0] > 3 * usual:
            runs.append([])
        runs[-1].append(f"{x(minute):.1f},{y(value):.1f}")
    return [" ".join(run) for run in runs]


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222222", size: int = 12) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}"'
    return f"<text {place}>{escape(text)}</text>"
