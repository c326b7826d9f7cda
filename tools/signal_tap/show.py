"""`signal-tap show`: what was journaled."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click

from signals.journal import Journal
from tools.cli import NOTHING, OK, home_option, told
from tools.signal_tap import options
from tools.signal_tap.choosing import Chosen, CursorFile, chosen
from tools.signal_tap.options import Choice, Ending, Look
from tools.signal_tap.output import View
from tools.signal_tap.reading import Row, between, first_seq, last, last_seq

LAST = 20
PIECE = 500


@click.command()
@options.choosing
@click.option(
    "-n",
    "--lines",
    "count",
    type=click.IntRange(1),
    help="At most so many: the first after --from or --since, else the last.",
)
@options.resuming
@options.showing()
@home_option
@told
def show(choice: Choice, ending: Ending, look: Look, *, count: int | None, home: Path | None) -> int:
    """Show journaled signals.

    The last 20, or all from where --from, --since or --correlation say. Needs no running bus. NAME may be a
    glob such as 'Q_INTENT_*'.

    \b
      signal-tap show -o json --from first      every signal, one a line
      signal-tap show -S -15min 'Q_*_FAILED'
      signal-tap show -S yesterday -U today -o csv --fields seq,facts.text
    """
    view = View.of(home, look)
    found = chosen(choice, view.paint.masker, view.paths.journal)
    with Journal(view.paths.journal) as journal:
        file = CursorFile(ending.cursor_file) if ending.cursor_file else None
        after = file.read(journal) if file and not found.start else None
        rows = _rows(journal, found, after, ending.limit or count)
        view.head()
        shown = 0
        while piece := list(islice(rows, PIECE)):
            view.signals(raw for _, raw in piece)
            shown += len(piece)
            if file:
                file.write(journal, piece[-1][0])
    return OK if shown else NOTHING


def _rows(journal: Journal, found: Chosen, after: int | None, count: int | None) -> Iterator[Row]:
    selection, head = found.selection, journal.head()
    upto = last_seq(journal, found.until_us, head)
    if after is not None:
        return islice(between(journal, selection, after, upto), count)
    if found.start or (selection.correlation and count is None):
        after = first_seq(journal, selection, found.start, head) - 1
        return islice(between(journal, selection, after, upto), count)
    return iter(last(journal, selection, count or LAST, upto))
