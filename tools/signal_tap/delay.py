"""`signal-tap delay`: how long signals take to the bus, and from there until they are handled."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import click
import orjson

from signals.journal import Journal
from tools.cli import NOTHING, OK, home_option, told
from tools.drawing import Column, Listing
from tools.signal_tap import options
from tools.signal_tap.choosing import Chosen, chosen
from tools.signal_tap.measures import delays
from tools.signal_tap.options import Choice, Look
from tools.signal_tap.output import View
from tools.signal_tap.reading import Row, between, first_seq, last, last_seq, searched
from tools.signal_tap.widening import advice
from tools.text import clean, seconds_text

SAMPLE = 1000
Envelope = dict[str, Any]


@click.command()
@options.choosing
@click.option("-n", "--lines", "count", type=click.IntRange(1), default=SAMPLE, help="Of so many [default: 1000].")
@options.listing
@home_option
@told
def delay(choice: Choice, look: Look, *, count: int, home: Path | None) -> int:
    """Measure emit → bus → handled, with percentiles.

    Of the last 1000 signals, or from where --from or --since say. Emit → bus is from the emitter's time stamp
    to the bus's. Bus → handled is for each daemon until what its handler emitted was on disk, which is when it
    had acknowledged; a handler that emits nothing leaves no trace. Needs no running bus.
    """
    view = View.of(home, look)
    found = chosen(choice, view.paint.masker, view.paths.journal)
    with Journal(view.paths.journal) as journal:
        sample = [orjson.loads(raw) for _, raw in _sample(journal, found, count)]
        rows = [row for each in delays(sample, _effects(journal, sample)) for row in each.rows()]
        if not rows:
            view.notice(_nothing(journal, view, choice, found))
    if rows:
        view.listed(rows, _table(view, rows))
    return OK if rows else NOTHING


def _sample(journal: Journal, found: Chosen, count: int) -> Iterable[Row]:
    upto = last_seq(journal, found.until_us, journal.head())
    if not found.start:
        return last(journal, found.selection, count, upto)
    after = first_seq(journal, found.selection, found.start, upto) - 1
    return islice(between(journal, found.selection, after, upto), count)


def _nothing(journal: Journal, view: View, choice: Choice, found: Chosen) -> str:
    head = journal.head()
    first = first_seq(journal, found.selection, found.start, head)
    upto = last_seq(journal, found.until_us, head)
    return advice(choice, searched(journal, view.paint.catalogue, first, upto))


def _effects(journal: Journal, sample: list[Envelope]) -> dict[str, list[Envelope]]:
    """What followed directly from each signal of the sample."""
    found: dict[str, list[Envelope]] = {envelope["id"]: [] for envelope in sample}
    for story in {envelope["correlation_id"] for envelope in sample}:
        for raw in journal.story(story):
            envelope = orjson.loads(raw)
            if (cause := envelope.get("causation_id")) in found:
                found[cause].append(envelope)
    return found


def _table(view: View, rows: list[dict[str, Any]]) -> Listing:
    figures = {"COUNT": 7, "P50": 2, "P90": 6, "P99": 4, "MAX": 5}
    right = (Column(heading, rank, right=True) for heading, rank in figures.items())
    shown = Listing(Column("SIGNAL"), Column("LEG", 1), Column("BY", 3), *right)
    for row in rows:
        values = (seconds_text(row[key]) for key in ("p50_s", "p90_s", "p99_s", "max_s"))
        shown.add(view.paint.text(row["signal"]), row["leg"], clean(row["by"] or "-"), f"{row['count']:,}", *values)
    return shown
