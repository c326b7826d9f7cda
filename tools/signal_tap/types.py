"""`signal-tap types`: which signals there are, how often, and between whom."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import orjson

from signals.catalogue import Contract
from signals.journal import Journal
from tools.cli import NOTHING, OK, home_option, told
from tools.drawing import Column, Listing
from tools.signal_tap import options
from tools.signal_tap.options import Look
from tools.signal_tap.output import View
from tools.signal_tap.selection import Selection, names_of
from tools.signal_tap.times import span_s
from tools.signal_tap.who import Who
from tools.text import clean, seconds_text

NONE = "Nothing is kept in the journal. --all also lists those of which none is kept."


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Also those of which none is kept.")
@click.option("--over", default="5min", show_default=True, metavar="TIME", help="The span of the rate.")
@options.dated
@home_option
@told
def types(look: Look, *, names: tuple[str, ...], everything: bool, over: str, home: Path | None) -> int:
    """List the kinds of signals, and between whom they go.

    How many are kept, rate, last one, emitters, consumers. Needs no running bus. Live signals, which are never
    kept, are listed with --all; `hz --live` measures them.
    """
    view, selection = View.of(home, look), Selection(names_of(names))
    who, span = Who.of(view.paths, view.paint.catalogue), span_s(over)
    with Journal(view.paths.journal) as journal:
        known = {*journal.known(), *(view.paint.catalogue if everything else ())}
        before = journal.seq_at(int((time.time() - span) * 1e6)) - 1
        found = [
            _row(journal, view, who, name, before=before, span=span)
            for name in sorted(known)
            if selection.takes_name(name)
        ]
    if found:
        view.listed(found, table(view, found))
        return OK
    wider = "" if everything else " --all also lists those of which none is kept."
    view.notice(f"None of the {len(known)} kinds of signals is named {' or '.join(names)}.{wider}" if known else NONE)
    return NOTHING


def _row(journal: Journal, view: View, who: Who, name: str, *, before: int, span: float) -> dict[str, Any]:
    contract: Contract | None = view.paint.catalogue.get(name)
    roles = who.roles(contract) if contract else None
    latest = journal.latest(name)
    last = orjson.loads(latest) if latest else {}
    return {
        "signal": name,
        "kind": contract.kind if contract else None,
        "delivery": contract.delivery if contract else None,
        "count": journal.counts(name),
        "rate_per_s": round(journal.counts(name, before) / span, 6),
        "last_at": last.get("received_at"),
        "last_seq": last.get("seq"),
        "last_source": last.get("source"),
        "emitters": list(roles.emitters) if roles else [],
        "consumers": list(roles.consumers) if roles else [],
    }


def table(view: View, found: list[dict[str, Any]]) -> Listing:
    """What was found as a table."""
    numbers = {"COUNT": 1, "RATE": 2, "LAST": 5}
    right = (Column(heading, rank, right=True) for heading, rank in numbers.items())
    shown = Listing(Column("SIGNAL"), *right, Column("EMITTERS", 3, folds=True), Column("CONSUMERS", 4, folds=True))
    for each in found:
        shown.add(
            view.paint.text(each["signal"]),
            f"{each['count']:,}",
            rate_text(each["rate_per_s"]),
            view.paint.moment(each["last_at"]) if each["last_at"] else "-",
            clean(", ".join(each["emitters"])) or clean(each["last_source"] or "-"),
            clean(", ".join(each["consumers"])) or "-",
        )
    return shown


def rate_text(per_s: float) -> str:
    """A rate for people: `20/s`, `0.5/s`, or one every so long."""
    if per_s <= 0:
        return "-"
    return f"{per_s:,.0f}/s" if per_s >= 10 else f"{per_s:.1f}/s" if per_s >= 1 else f"1 in {seconds_text(1 / per_s)}"
