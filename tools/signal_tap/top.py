"""`signal-tap top`: what is going on, on one screen."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.live import Live

from signals.emitter import Emitter
from signals.errors import BusUnreachableError
from signals.journal import Journal
from signals.live import Subscription
from tools.cli import OK, bus_listens, home_option, told
from tools.leaving import in_order
from tools.signal_tap import options
from tools.signal_tap.board import ERRORS, OVER_S, Board, Counts
from tools.signal_tap.consumers import in_journal
from tools.signal_tap.options import Look
from tools.signal_tap.output import View
from tools.signal_tap.reading import last
from tools.signal_tap.selection import Selection
from tools.text import seconds_text

SNAPSHOT_S = 60.0
ASK_EVERY_S = 2.0
ENDS = (b"q", b"Q", b"\x04")


@click.command()
@options.dated
@home_option
@told
def top(look: Look, *, home: Path | None) -> int:
    """Show what is going on, live.

    Signals by rate, consumers by lag and the last errors; q or Ctrl-C ends it.

    Where standard output is no terminal, or with -o json: one snapshot, which needs no running bus. Its rates
    are those of the last minute.
    """
    view = View.of(home, look)
    with Journal(view.paths.journal) as journal:
        if not view.output.terminal or look.form != "short":
            board = _snapshot(view, journal)
            view.listed([board.to_json()], board.drawn(view.paint, None))
        else:
            _Screen(view, journal).run()
    return OK


def _snapshot(view: View, journal: Journal) -> Board:
    totals = journal.names()
    before = journal.seq_at(int((time.time() - SNAPSHOT_S) * 1e6)) - 1
    rates = {name: journal.counts(name, before) / SNAPSHOT_S for name in totals}
    status, consumers = _ask(view)
    return _board(view, journal, rates, f"over {seconds_text(SNAPSHOT_S)}", totals, status, consumers)


def _board(  # noqa: PLR0917 - the parts of one thing
    view: View,
    journal: Journal,
    rates: dict[str, float],
    over: str,
    totals: dict[str, int],
    status: dict[str, Any] | None,
    consumers: list[dict[str, Any]],
) -> Board:
    kinds = tuple(name for name, contract in view.paint.catalogue.items() if contract.kind == "error")
    names = (*kinds, "Q_DEAD_LETTER_ADDED")
    errors = [
        dict(view.paint.masker.envelope(orjson.loads(raw)))
        for _, raw in last(journal, Selection(names), ERRORS, journal.head())
    ]
    dead = sum(status["dead_letters"].values()) if status else sum(1 for _ in journal.dead())
    return Board(rates, over, totals, consumers, errors, status, dead)


def _ask(view: View) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The bus's status and consumers; None and what the journal says while it does not answer."""
    if bus_listens(view.paths):
        with suppress(BusUnreachableError), Emitter(view.paths.bus_socket, timeout_s=1.0) as emitter:
            return emitter.query("status"), emitter.query("consumers")
    return None, in_journal(view.paths)


class _Screen:
    """The live screen: rates from the bus's own counts, which it tells once a second."""

    def __init__(self, view: View, journal: Journal) -> None:
        self._view = view
        self._journal = journal
        self._counts = Counts()
        self._status, self._consumers = _ask(view)
        self._asked = time.monotonic()

    def run(self) -> None:
        """Until q, or the end of the input."""
        console = Console(no_color=not self._view.paint.colour, highlight=False, markup=False, emoji=False)
        with (
            in_order(),
            Subscription(self._view.paths.mirror_socket, ()) as mirror,
            _keys() as keys,
            Live(console=console, screen=True, auto_refresh=False) as live,
        ):
            while True:
                height = os.get_terminal_size(sys.stdout.fileno()).lines
                self._view.paint.width = console.width
                live.update(self._board(mirror).drawn(self._view.paint, height), refresh=True)
                if keys(1.0):
                    return

    def _board(self, mirror: Subscription) -> Board:
        while mirror.wait(0):
            pass
        if self._journal.is_replaced():
            self._journal.close()
            self._journal = Journal(self._view.paths.journal)
        now = time.monotonic()
        if mirror.counts:
            self._counts.note(now, mirror.counts)
        if now - self._asked >= ASK_EVERY_S:
            self._asked = now
            self._status, self._consumers = _ask(self._view)
        over = f"over {seconds_text(OVER_S)}"
        rates, totals = self._counts.rates(), mirror.counts
        return _board(self._view, self._journal, rates, over, totals, self._status, self._consumers)


@contextmanager
def _keys() -> Iterator[Any]:
    """A function that waits for a key and says whether it ends the screen. The terminal is as before at the end."""
    if not sys.stdin.isatty():
        yield time.sleep
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)

    def pressed(timeout_s: float) -> bool:
        if not select.select([descriptor], [], [], timeout_s)[0]:
            return False
        said = os.read(descriptor, 64)
        return not said or any(end in said for end in ENDS)

    try:
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
