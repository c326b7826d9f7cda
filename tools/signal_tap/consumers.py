"""`signal-tap consumers`: who reads how far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson
from rich.table import Table
from rich.text import Text

from signals.journal import Journal
from signals.paths import Paths
from tools.cli import NOTHING, OK, ask_bus, bus_listens, home_option, paths_of, told
from tools.signal_tap import options
from tools.signal_tap.output import Output, notice, painter
from tools.signal_tap.rendering import Format
from tools.text import clean, seconds_text

Consumer = dict[str, Any]


@click.command()
@options.formats()
@options.color
@home_option
@told
def consumers(form: Format, color: str, home: Path | None) -> int:
    """Show each consumer: how far it has read, how much waits for it, what is in hand or stands aside.

    With the bus down the journal is asked instead, which knows cursors but not who is attached.
    """
    paths = paths_of(home)
    output = Output()
    paint = painter(paths, output, color)
    if bus_listens(paths):
        found: list[Consumer] = ask_bus(paths, "consumers")
    else:
        notice("The bus does not answer; this is what the journal says.")
        found = in_journal(paths)
    if form == "short":
        output.line(paint.draw(table(found)))
    else:
        for each in found:
            output.line(paint.shower(form)(orjson.dumps(each)))
    return OK if found else NOTHING


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


def table(found: list[Consumer]) -> Table:
    """The consumers as a table; a column that nobody knows shows a dash."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("CONSUMER", no_wrap=True)
    for name in ("CURSOR", "LAG", "IN HAND", "ASIDE", "OLDEST"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("STATE", no_wrap=True)
    for each in found:
        lag = each["lag"] if each["lag"] is not None else f"≤{each['behind']}"
        oldest = each.get("oldest_age_s")
        shown.add_row(
            clean(each["consumer"]),
            str(each["cursor"]),
            str(lag),
            str(each.get("in_hand", "-")),
            str(each["aside"]),
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
