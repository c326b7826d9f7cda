"""`signal-tap hz` and `signal-tap bw`: how many signals, and how many bytes, a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from tools.cli import home_option, told
from tools.drawing import Column, Listing
from tools.signal_tap import options
from tools.signal_tap.feed import Feed
from tools.signal_tap.measures import Flow, Flows
from tools.signal_tap.options import Choice, Ending, Look
from tools.signal_tap.output import View
from tools.signal_tap.times import span_s
from tools.signal_tap.types import rate_text
from tools.text import seconds_text

Row = dict[str, Any]
F = TypeVar("F", bound=Callable[..., Any])
_every = click.option("--every", default="1s", show_default=True, metavar="TIME", help="How often to tell.")
_live = click.option("--live", is_flag=True, help="Also what is never journaled (heartbeats, tokens …).")


def _measuring(function: F) -> F:
    """The options of both verbs."""
    return options.choosing(_live(_every(options.ending(options.listing(home_option(told(function)))))))  # type: ignore[return-value]


@click.command()
@_measuring
def hz(choice: Choice, ending: Ending, look: Look, *, live: bool, every: str, home: Path | None) -> int:
    """Measure how often signals come.

    By their arrival at the bus: rate, and the gaps between them. Of the last 1000 of each, told once a second
    until Ctrl-C; with -T once, of what is journaled. Needs no running bus then.
    """
    return _measure(View.of(home, look), choice, ending, live, span_s(every), Flow.rate, _rates)


@click.command()
@_measuring
def bw(choice: Choice, ending: Ending, look: Look, *, live: bool, every: str, home: Path | None) -> int:
    """Measure how many bytes come a second.

    The rate of envelopes in bytes, and how large they are; otherwise as `hz`.
    """
    return _measure(View.of(home, look), choice, ending, live, span_s(every), Flow.size, _sizes)


def _measure(  # noqa: PLR0917 - the two verbs above are its only callers
    view: View,
    choice: Choice,
    ending: Ending,
    live: bool,
    every_s: float,
    measure: Callable[[Flow], Row],
    table: Callable[[View, list[Row]], Listing],
) -> int:
    feed = Feed.of(view, choice, ending, live=live, back=None if ending.at_end else 0)
    flows, due, told = Flows(), time.monotonic() + every_s, 0
    for raws in feed:
        for raw in raws:
            flows.add(orjson.loads(raw), len(raw))
        if not ending.at_end and time.monotonic() >= due:
            due = time.monotonic() + every_s
            if feed.shown > told:
                told = feed.shown
                _tell(view, flows, measure, table)
    if feed.shown > told:
        _tell(view, flows, measure, table)
    return feed.code


def _tell(
    view: View, flows: Flows, measure: Callable[[Flow], Row], table: Callable[[View, list[Row]], Listing]
) -> None:
    rows = [measure(flow) for flow in flows]
    view.listed(rows, table(view, rows))


def _columns(**ranks: int) -> Listing:
    columns = (Column(name.replace("_", " "), rank, right=True) for name, rank in ranks.items())
    return Listing(Column("SIGNAL"), *columns)


def _rates(view: View, rows: list[Row]) -> Listing:
    shown = _columns(RATE=1, GAP_MIN=3, MAX=4, STD_DEV=5, WINDOW=6, COUNT=2)
    for row in rows:
        gaps = (row["gap_min_s"], row["gap_max_s"], row["gap_stddev_s"])
        shown.add(
            view.paint.text(row["signal"]),
            rate_text(row["rate_per_s"] or 0),
            *("-" if gap is None else seconds_text(gap) for gap in gaps),
            f"{row['window']:,}",
            f"{row['count']:,}",
        )
    return shown


def _sizes(view: View, rows: list[Row]) -> Listing:
    shown = _columns(RATE=1, MEAN=3, MIN=5, MAX=4, WINDOW=6, COUNT=2)
    for row in rows:
        rate = row["bytes_per_s"]
        shown.add(
            view.paint.text(row["signal"]),
            "-" if rate is None else f"{bytes_text(rate)}/s",
            *(bytes_text(row[key]) for key in ("bytes_mean", "bytes_min", "bytes_max")),
            f"{row['window']:,}",
            f"{row['count']:,}",
        )
    return shown


def bytes_text(size: float) -> str:
    """Bytes for people: `512 B`, `1.5 KiB`, `20 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
