"""`signal-tap record`: keep signals in a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from signals.errors import UsageError
from signals.journal import Journal
from tools.cli import home_option, told
from tools.signal_tap import options
from tools.signal_tap.choosing import is_of
from tools.signal_tap.feed import Feed
from tools.signal_tap.options import Choice, Ending, Look
from tools.signal_tap.output import View
from tools.signal_tap.recordings import Recording, last_of


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@options.choosing
@click.option("--live", is_flag=True, help="Also what is never journaled (heartbeats, tokens …).")
@click.option("--append", is_flag=True, help="Go on with a recording where it ended.")
@options.ending
@options.quiet
@home_option
@told
def record(
    choice: Choice, ending: Ending, *, file: Path, live: bool, append: bool, quiet: bool, home: Path | None
) -> int:
    """Record signals in a file, until Ctrl-C.

    One whole envelope a line; what is journaled is never passed over. Begins now, or where --from or --since
    say; with -T it ends with what is journaled and needs no running bus. Secret facts are masked. `show -o
    json` and `follow -o json` write the same form.
    """
    if live and ending.at_end:
        raise click.UsageError("--live records what is not in the journal, and -T only what is.")
    view = View.of(home, Look(form="json", quiet=quiet))
    if append and file.is_file():
        choice = _going_on(view, choice, ending, file)
    feed = Feed.of(view, choice, ending, live=live, back=None if ending.at_end else 0)
    with Recording(file, append=append) as recording:
        try:
            for raws in feed:
                if raws:
                    recording.write(map(view.paint.masker.raw, raws))
        finally:
            view.notice(f"{recording.count:,} signals recorded in {file}")
    return feed.code


def _going_on(view: View, choice: Choice, ending: Ending, file: Path) -> Choice:
    if choice.start or ending.cursor_file:
        raise UsageError("--append goes on where the recording ends; leave --from and --cursor-file out.")
    last = last_of(file)
    if last is None:
        return choice
    with Journal(view.paths.journal) as journal:
        if not is_of(journal, *last):
            raise UsageError(f"{file} was recorded from another journal than {journal.path}. Begin a new recording.")
    return replace(choice, start=str(last[0] + 1))
