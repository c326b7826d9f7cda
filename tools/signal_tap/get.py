"""`signal-tap get`: one signal, whole."""

from __future__ import annotations

from pathlib import Path

import click

from signals.ids import is_id
from signals.journal import Journal
from signals.lookup import resolve
from tools.cli import home_option, told
from tools.signal_tap import options
from tools.signal_tap.options import Look
from tools.signal_tap.output import View


@click.command()
@click.argument("keys", metavar="SEQ|ID|Q_NAME...", nargs=-1, required=True)
@options.showing(default="json-pretty")
@home_option
@told
def get(look: Look, *, keys: tuple[str, ...], home: Path | None) -> None:
    """Show one signal whole.

    By its sequence number or id, or the newest of a name; needs no running bus. The first 8 digits of an id or more
    will do. Two sources may have used one id: then both are shown.
    """
    view = View.of(home, look)
    with Journal(view.paths.journal) as journal:
        found = [raw for key in keys for raw in _found(journal, key)]
    view.head()
    view.signals(found)


def _found(journal: Journal, key: str) -> list[bytes]:
    whole = key.strip().lower()
    return (journal.get(whole) if is_id(whole) else []) or [resolve(journal, key)[1]]
