"""`signal-tap follow`: what happens now."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click

from signals.catalogue import Catalogue
from signals.errors import BusUnreachableError
from signals.journal import Journal
from signals.paths import Paths
from tools.cli import bus_listens, home_option, paths_of, told
from tools.signal_tap import options
from tools.signal_tap.following import Tail
from tools.signal_tap.output import Output, notice, painter
from tools.signal_tap.reading import first_seq, last, resolve
from tools.signal_tap.rendering import Format
from tools.signal_tap.selection import Selection, Start, names_of, start_of

LAST = 10
SILENT_S = 2.0


@click.command()
@options.selecting
@click.option(
    "-n", "--lines", "count", type=click.IntRange(0), help=f"Show so many earlier ones first; {LAST} unless told."
)
@click.option(
    "--live", is_flag=True, help="Also what is never journaled (heartbeats, tokens …), saying what was missed."
)
@options.formats()
@options.color
@home_option
@told
def follow(
    *,
    names: tuple[str, ...],
    correlation: str | None,
    sources: tuple[str, ...],
    start: str | None,
    since: str | None,
    count: int | None,
    live: bool,
    form: Format,
    color: str,
    home: Path | None,
) -> None:
    """Show signals as they come, until Ctrl-C. What is journaled is never passed over, even while the bus restarts."""
    if count is not None and (start or since):
        raise click.UsageError("-n says how many earlier signals to show; --from and --since say it otherwise.")
    globs = names_of(names)
    paths, begin = paths_of(home), start_of(start, since, time.time())
    if not bus_listens(paths):
        raise BusUnreachableError(
            f"No bus answers at {paths.bus_socket}. Start it: `ligand up`, or `systemctl start ligand-bus`. "
            "What was journaled: `signal-tap show`."
        )
    output = Output()
    paint = painter(paths, output, color)
    selection = _selection(paths, globs, sources, correlation)
    after = _start(paths, selection, begin, LAST if count is None else count)
    with Tail(paths, selection, after, is_live=lambda name: _is_live(paint.catalogue, name), live=live) as tail:
        _follow(tail, paths, output, paint.shower(form))


def _selection(paths: Paths, names: tuple[str, ...], sources: tuple[str, ...], correlation: str | None) -> Selection:
    if correlation is None:
        return Selection(names, sources)
    with Journal(paths.journal) as journal:
        return Selection(names, sources, resolve(journal, correlation)[0])


def _start(paths: Paths, selection: Selection, begin: Start, count: int) -> int:
    with Journal(paths.journal) as journal:
        head = journal.head()
        if begin:
            return first_seq(journal, selection, begin, head) - 1
        rows = last(journal, selection, count, head) if count else []
        return rows[0][0] - 1 if rows else head


def _is_live(catalogue: Catalogue, name: str) -> bool:
    contract = catalogue.get(name)
    return contract is not None and contract.delivery == "live"


def _follow(tail: Tail, paths: Paths, output: Output, show_one: Callable[[bytes], bytes]) -> None:
    down = False
    while True:
        if (gone := tail.pruned()) and tail.after:
            notice(f"-- {gone} signals were past their retention before they could be shown --")
        for _, raw in tail.rows():
            output.line(show_one(raw))
        seen = tail.wait(SILENT_S)
        for raw in seen or ():
            output.line(show_one(raw))
        for name, count in tail.missed().items():
            notice(f"-- missed {count} {name} (live signals are not kept) --")
        output.need_reader()
        down = _tell_of_bus(paths, down, silent=seen is None)


def _tell_of_bus(paths: Paths, down: bool, *, silent: bool) -> bool:
    """Say when the bus goes and comes; whether it is down now."""
    if silent and not down and not bus_listens(paths):
        notice("-- the bus does not answer; waiting for it --")
        return True
    if down and not silent:
        notice("-- the bus is back --")
        return False
    return down
