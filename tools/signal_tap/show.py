"""`signal-tap show`: what was journaled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from tools.cli import home_option, told
from tools.signal_tap import options
from tools.signal_tap.feed import Feed
from tools.signal_tap.options import Choice, Ending, Look
from tools.signal_tap.output import View

LAST = 20


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
    whole_story = choice.correlation is not None and count is None and ending.limit is None
    ending = replace(ending, at_end=True, limit=ending.limit or count)
    feed = Feed.of(view, choice, ending, back=None if whole_story else ending.limit or LAST)
    view.head()
    for raws in feed:
        view.signals(raws)
    return feed.code
