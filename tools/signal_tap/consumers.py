"""`signal-tap consumers`: who reads how far."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from signals.journal import Journal
from signals.paths import Paths
from tools.cli import NOTHING, OK, ask_bus, bus_listens, home_option, told
from tools.drawing import Column, Listing
from tools.signal_tap import options
from tools.signal_tap.options import Look
from tools.signal_tap.output import View
from tools.text import clean, seconds_text

Consumer = dict[str, Any]


@click.command()
@click.argument("globs", nargs=-1, metavar="[CONSUMER]...")
@click.option("--lagging", is_flag=True, help="Only those for which something waits.")
@options.listing
@home_option
@told
def consumers(look: Look, *, globs: tuple[str, ...], lagging: bool, home: Path | None) -> int:
    """Show who has read how far.

    For each consumer its cursor, how much waits for it, what is in hand or stands aside. CONSUMER is a daemon,
    a lane such as investigator.critical, or a glob. With the bus down the journal is asked instead, which knows
    cursors but not who is attached. Exit code 1: there is none.
    """
    view = View.of(home, look)
    if bus_listens(view.paths):
        found: list[Consumer] = ask_bus(view.paths, "consumers")
    else:
        view.notice("The bus does not answer; this is what the journal says.")
        found = in_journal(view.paths)
    wanted = [each for each in found if _wanted(each, globs, lagging)]
    if wanted:
        view.listed(wanted, table(wanted))
        return OK
    names = [each for each in found if _wanted(each, globs, lagging=False)]
    view.notice(_nothing(found, globs) if not names else f"Nothing waits for {len(names)} of {len(found)} consumers.")
    return NOTHING


def _nothing(found: list[Consumer], globs: tuple[str, ...]) -> str:
    if not found:
        return "There are no consumers yet."
    return f"No consumer is named {', '.join(globs)}. There are {', '.join(each['consumer'] for each in found)}."


def _wanted(each: Consumer, globs: tuple[str, ...], lagging: bool) -> bool:
    if globs and not any(fnmatchcase(each["consumer"], glob) for glob in globs):
        return False
    return not lagging or bool(each["lag"] if each["lag"] is not None else each["behind"])


def in_journal(paths: Paths) -> list[Consumer]:
    """What the journal knows. `lag` is None: which signals a consumer wants is the bus's to say; `behind` bounds it."""
    with Journal(paths.journal) as journal:
        head = journal.head()
        return [
            {
                "consumer": row.consumer,
                "cursor": row.cursor,
                "lag": None,
                "behind": max(0, head - row.cursor),
                "aside": row.aside,
            }
            for row in journal.consumers()
        ]


def table(found: list[Consumer]) -> Listing:
    """The consumers as a table; a column that nobody knows shows a dash."""
    numbers = {"CURSOR": 6, "LAG": 1, "IN HAND": 5, "ASIDE": 4, "SETTLED": 7, "REDELIVERED": 8, "OLDEST": 3}
    right = (Column(heading, rank, right=True) for heading, rank in numbers.items())
    shown = Listing(Column("CONSUMER"), *right, Column("STATE", 2))
    for each in found:
        lag = each["lag"] if each["lag"] is not None else f"≤{each['behind']}"
        oldest = each.get("oldest_age_s")
        shown.add(
            clean(each["consumer"]),
            str(each["cursor"]),
            str(lag),
            str(each.get("in_hand", "-")),
            str(each["aside"]),
            str(each.get("settled", "-")),
            str(each.get("redelivered", "-")),
            seconds_text(oldest) if oldest else "-",
            _state(each),
        )
    return shown


def _state(each: Consumer) -> Text:
    if "attached" not in each:
        return Text("unknown", style="bright_black")
    if each.get("paused"):
        return Text("paused", style="yellow")
    return Text("attached", style="green") if each["attached"] else Text("absent", style="red")
