"""One experiment of a cycle as a picture (SVG): its trials over time, or two metrics against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import inf
from typing import Any

from signals.terminal import clean

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 880, 420, 86, 30, 86, 56
USED, WINNER, TRIED, LINE, INK = "#c8553d", "#3a7d44", "#0b6fa4", "#8a5fbf", "#333333"
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to places, one axis."""

    low: float
    high: float
    begin: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], begin: float, end: float) -> _Scale:
        low, high = min(values), max(values)
        room = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
        return cls(low - room, high + room, begin, end)

    def __call__(self, value: float) -> float:
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * part / 4 for part in range(5)]


def draw(record: Mapping[str, Any]) -> str:
    """The whole picture of a record."""
    names = list(record["objective"]["metrics"])
    body = list(_front(record, *names[:2]) if len(names) == 2 else _over_time(record, names[0]))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            _text(LEFT, 24, f"{record['experiment']}: {record['about']}"[:110], size=16),
            _text(LEFT, 44, _said(record)),
            *body,
            "</svg>",
            "",
        ]
    )


def _said(record: Mapping[str, Any]) -> str:
    verdict = "; ".join(record["verdict"]["reasons"])
    return f"{'Winner' if record['winner'] else 'No winner'}: {verdict}"[:130]


def _over_time(record: Mapping[str, Any], name: str) -> Iterator[str]:
    complete = [one for one in record["trials"] if one["state"] == "complete"]
    used = record["baseline"][name]
    values = [one["metrics"][name] for one in complete] + [used]
    x = _Scale.over([0.0, *(one["at_s"] for one in record["trials"])], LEFT, WIDTH - RIGHT)
    y = _Scale.over(values, HEIGHT - BOTTOM, TOP)
    yield from _axes(x, y, "seconds", f"{name} ({record['objective']['metrics'][name]})", least=0.0)
    yield _line([(x.begin, y(used)), (x.end, y(used))], USED, "4 3")
    way = max if record["objective"]["metrics"][name] == "maximize" else min
    best, stairs = used, [(x(0.0), y(used))]
    for one in sorted(complete, key=lambda each: each["at_s"]):
        fresh = way(best, one["metrics"][name]) if not one["crossed"] else best
        stairs += [(x(one["at_s"]), y(best)), (x(one["at_s"]), y(fresh))]
        best = fresh
    yield _line([*stairs, (x.end, y(best))], LINE)
    yield from (_dot(x(one["at_s"]), y(one["metrics"][name]), one, record) for one in complete)
    yield from (_cross(x(one["at_s"]), HEIGHT - BOTTOM - 6) for one in record["trials"] if one["state"] == "failed")
    yield from _legend(("in use", USED), ("best so far", LINE), ("tried", TRIED), ("winner", WINNER))


def _front(record: Mapping[str, Any], across: str, up: str) -> Iterator[str]:
    complete = [one for one in record["trials"] if one["state"] == "complete"]
    points = [(one["metrics"][across], one["metrics"][up]) for one in complete]
    used = (record["baseline"][across], record["baseline"][up])
    x = _Scale.over([point[0] for point in [*points, used]], LEFT, WIDTH - RIGHT)
    y = _Scale.over([point[1] for point in [*points, used]], HEIGHT - BOTTOM, TOP)
    ways = record["objective"]["metrics"]
    yield from _axes(x, y, f"{across} ({ways[across]})", f"{up} ({ways[up]})")
    best = sorted(point for one, point in zip(complete, points, strict=True) if one["n"] in record["front"])
    yield _line([(x(one), y(other)) for one, other in best], LINE)
    yield from (_dot(x(point[0]), y(point[1]), one, record) for one, point in zip(complete, points, strict=True))
    yield f'<circle cx="{x(used[0]):.1f}" cy="{y(used[1]):.1f}" r="6" fill="none" stroke="{USED}" stroke-width="2"/>'
    yield from _legend(("in use", USED), ("front", LINE), ("tried", TRIED), ("winner", WINNER))


def _axes(x: _Scale, y: _Scale, across: str, up: str, least: float = -inf) -> Iterator[str]:
    for value in y.ticks():
        yield _line([(x.begin, y(value)), (x.end, y(value))], "#e4e4e4")
        yield _text(LEFT - 8, y(value) + 4, f"{value:.4g}", anchor="end")
    for value in x.ticks():
        if value >= least:
            yield _text(x(value), HEIGHT - BOTTOM + 18, f"{value:.4g}", anchor="middle")
    yield _text((x.begin + x.end) / 2, HEIGHT - 14, across, anchor="middle")
    yield _text(LEFT, TOP - 10, up)


def _dot(x: float, y: float, one: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    wins = record["winner"] is not None and record["winner"]["n"] == one["n"]
    said = ", ".join(f"{name} {value}" for name, value in one["params"].items())
    title = f"<title>{escape(clean('trial {n}, {from}: '.format(**one) + said))}</title>"
    fill = WINNER if wins else "#ffffff" if one["crossed"] else TRIED
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{7 if wins else 3.5}" fill="{fill}" stroke="{TRIED}" '
        f'fill-opacity="0.85">{title}</circle>'
    )


def _cross(x: float, y: float) -> str:
    return f'<path d="M{x - 3:.1f} {y - 3} l6 6 m0 -6 l-6 6" stroke="{INK}"><title>failed</title></path>'


def _legend(*entries: tuple[str, str]) -> Iterator[str]:
    for nth, (words, colour) in enumerate(entries):
        x = LEFT + nth * 120
        yield f'<rect x="{x}" y="54" width="10" height="10" fill="{colour}"/>'
        yield _text(x + 15, 63, words)


def _line(points: Sequence[Point], colour: str, dashes: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}"{dashed}/>'


def _text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "start") -> str:
    said = escape(clean(words))  # XML has no place for control characters
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{INK}">{said}</text>'
