"""Applies a selection to the journal. Only reads, in short pages; works with the bus up or down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from signals.catalogue import Catalogue
from signals.journal import Journal
from tools.signal_tap.selection import Selection, Start
from tools.signal_tap.widening import Searched

PAGE = 500
Row = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Page:
    """Selected signals, up to which `seq` was looked, and the first and last that retention took before that."""

    rows: list[Row]
    looked: int
    pruned: tuple[int, int] | None = None


def pages(journal: Journal, selection: Selection, after: int, upto: int) -> Iterator[Page]:
    """The selected signals with `after` < seq <= `upto`, page by page.

    What retention takes while a page is worked on stands as `pruned` in a page of its own, without rows. `upto` must
    have been the head before this is called: then no name among them is still unknown here.
    """
    names = _names(journal, selection)
    while after < upto:
        start, rows = journal.page_whole(after, PAGE, names)
        if start > after:
            yield Page([], min(start, upto), (after + 1, min(start, upto)))
        if not rows:
            return
        fitting = [row for row in rows if row[0] <= upto and _fits(selection, row)]
        after = min(rows[-1][0], upto)
        yield Page(fitting, after)


def between(journal: Journal, selection: Selection, after: int, upto: int) -> Iterator[Row]:
    """The selected signals with `after` < seq <= `upto`, in order; `upto` as for `pages`."""
    for page in pages(journal, selection, after, upto):
        yield from page.rows


def _names(journal: Journal, selection: Selection) -> list[str] | None:
    return selection.among(journal.known()) if selection.names or selection.exclude else None


def _fits(selection: Selection, row: Row) -> bool:
    return selection.by_name_alone or selection.takes(orjson.loads(row[1]))


def last(journal: Journal, selection: Selection, count: int, upto: int) -> list[Row]:
    """The last `count` selected signals up to `upto`, oldest first."""
    names, before, found = _names(journal, selection), upto + 1, list[Row]()
    while len(found) < count and (rows := journal.page_before(before, PAGE, names)):
        fitting = [row for row in rows if _fits(selection, row)]
        found += fitting[: count - len(found)]
        before = rows[-1][0]
    return found[::-1]


def first_seq(journal: Journal, selection: Selection, start: Start, head: int) -> int:
    """The sequence number at which to begin; the strictest of what was said."""
    bounds = [1]
    if start.seq is not None:
        bounds.append(start.seq)
    if start.since_us is not None:
        bounds.append(journal.seq_at(start.since_us))
    if start.back is not None:
        rows = last(journal, selection, start.back, head)
        bounds.append(rows[0][0] if rows else head + 1)
    return max(bounds)


def last_seq(journal: Journal, until_us: int | None, head: int) -> int:
    """The highest sequence number to show: of what was received up to a time (Unix µs), if one was said."""
    return head if until_us is None else min(head, journal.seq_at(until_us + 1) - 1)


def searched(journal: Journal, catalogue: Catalogue, first: int, upto: int) -> Searched:
    """What can be said of a search through these sequence numbers."""
    kept, head = journal.first(), journal.head()
    live = [name for name, contract in catalogue.items() if contract.delivery == "live"]
    return Searched(max(first, kept), upto, kept, head, journal.known(), live)
