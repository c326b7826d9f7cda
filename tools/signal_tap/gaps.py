"""`signal-tap gaps`: sequence numbers that are missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from signals.errors import UsageError
from signals.journal import Journal
from tools.cli import OK, home_option, told
from tools.signal_tap import options
from tools.signal_tap.feed import MISSED
from tools.signal_tap.options import Look
from tools.signal_tap.output import View
from tools.signal_tap.recordings import envelopes
from tools.text import clean

MOST = 10_000


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@options.listing
@home_option
@told
def gaps(look: Look, *, files: tuple[str, ...], home: Path | None) -> int:
    """Tell which sequence numbers are missing.

    In the journal, or in recordings; needs no running bus. What retention took from the beginning is no gap. A
    recording of chosen signals has gaps by choice. Exit code 0: nothing is missing; 4: signals are missing.
    """
    view = View.of(home, look)
    found = [gap for file in files for gap in _in_recording(file)] if files else list(_in_journal(view))
    if found:
        view.listed(found[:MOST], _table(found[:MOST]))
        if len(found) > MOST:
            view.notice(f"and {len(found) - MOST:,} more")
    elif look.form == "short":
        view.notice("Nothing is missing.")
    return MISSED if found else OK


def _gap(where: str, first: int, last: int) -> dict[str, Any]:
    return {"in": where, "first": first, "last": last, "missing": last - first + 1}


def _in_journal(view: View) -> Iterator[dict[str, Any]]:
    with Journal(view.paths.journal) as journal:
        yield from (_gap(str(journal.path), first, last) for first, last in journal.gaps())


def _in_recording(file: str) -> Iterator[dict[str, Any]]:
    before: int | None = None
    for number, envelope in envelopes(file):
        seq = envelope.get("seq")
        if seq is None:  # a live signal has none
            continue
        if not isinstance(seq, int) or isinstance(seq, bool):
            raise UsageError(f"{file}, line {number}: its seq is no number.")
        if before is not None and seq <= before:
            raise UsageError(f"{file}, line {number}: seq {seq} comes after {before}; these are several recordings.")
        if before is not None and seq > before + 1:
            yield _gap(file, before + 1, seq - 1)
        before = seq


def _table(found: list[dict[str, Any]]) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("FIRST", "LAST", "MISSING"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("IN", overflow="fold")
    for gap in found:
        shown.add_row(str(gap["first"]), str(gap["last"]), f"{gap['missing']:,}", clean(gap["in"]))
    return shown
