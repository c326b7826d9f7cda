"""`signal-tap follow`: what happens now."""

from __future__ import annotations

from pathlib import Path

import click

from tools.cli import home_option, told
from tools.signal_tap import options
from tools.signal_tap.feed import Feed
from tools.signal_tap.options import Choice, Ending, Look
from tools.signal_tap.output import View

LAST = 10


@click.command()
@options.choosing
@click.option(
    "-n", "--lines", "count", type=click.IntRange(0), help=f"Show so many earlier ones first; {LAST} unless told."
)
@click.option(
    "--live", is_flag=True, help="Also what is never journaled (heartbeats, tokens …), saying what was missed."
)
@options.ending
@options.showing()
@home_option
@told
def follow(choice: Choice, ending: Ending, look: Look, *, count: int | None, live: bool, home: Path | None) -> int:
    """Show signals as they come, until Ctrl-C.

    What is journaled is never passed over, even while the bus restarts.

    \b
      signal-tap 'Q_INTENT_*' --where facts.priority=high
      signal-tap -o json -T --cursor-file seen     what is new since then
      signal-tap Q_SPOKEN -c 1 -W 30s              wait for one, 30 s at most
    """
    if count is not None and (choice.start or choice.since):
        raise click.UsageError("-n says how many earlier signals to show; --from and --since say it otherwise.")
    if live and ending.at_end:
        raise click.UsageError("--live shows what is not in the journal, and -T only what is.")
    view = View.of(home, look)
    unless_told = None if ending.at_end else LAST
    feed = Feed.of(view, choice, ending, live=live, back=unless_told if count is None else count)
    view.head()
    for raws in feed:
        if raws:
            view.signals(raws)
    return feed.code
