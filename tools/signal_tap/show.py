"""`signal-tap show`: what was journaled."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import click

from signals.journal import Journal
from tools.cli import NOTHING, OK, home_option, paths_of, told
from tools.signal_tap import options
from tools.signal_tap.output import Output, painter
from tools.signal_tap.reading import Row, between, first_seq, last, resolve
from tools.signal_tap.rendering import Format
from tools.signal_tap.selection import Selection, names_of, start_of

LAST = 20


@click.command()
@options.selecting
@click.option(
    "-n",
    "--lines",
    "count",
    type=click.IntRange(1),
    help="At most so many: the first after --from or --since, else the last.",
)
@options.formats()
@options.color
@home_option
@told
def show(
    *,
    names: tuple[str, ...],
    correlation: str | None,
    sources: tuple[str, ...],
    start: str | None,
    since: str | None,
    count: int | None,
    form: Format,
    color: str,
    home: Path | None,
) -> int:
    """Show journaled signals: the last 20, or all from where --from, --since or --correlation say.

    Needs no running bus. NAME may be a glob such as 'Q_INTENT_*'.

    \b
      signal-tap show -o json --from first      every signal, one whole envelope a line
      signal-tap show -S -15min 'Q_*_FAILED'
    """
    paths, begin = paths_of(home), start_of(start, since, time.time())
    output = Output()
    show_one = painter(paths, output, color).shower(form)
    with Journal(paths.journal) as journal:
        story = resolve(journal, correlation)[0] if correlation else None
        selection, head = Selection(names_of(names), sources, story), journal.head()
        if begin or (story and count is None):
            after = first_seq(journal, selection, begin, head) - 1
            rows: Iterable[Row] = islice(between(journal, selection, after, head), count)
        else:
            rows = last(journal, selection, count or LAST, head)
        found = False
        for _, raw in rows:
            output.line(show_one(raw))
            found = True
    return OK if found else NOTHING
