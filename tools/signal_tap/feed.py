"""The stream of chosen signals: what was journaled, then what comes, until what was typed says to stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from signals.errors import BusUnreachableError, UsageError
from signals.journal import Journal
from tools.cli import NOTHING, OK, bus_listens
from tools.signal_tap.choosing import Chosen, CursorFile, chosen, position
from tools.signal_tap.following import Tail
from tools.signal_tap.options import Choice, Ending
from tools.signal_tap.output import View
from tools.signal_tap.reading import Row, last_seq, pages
from tools.signal_tap.times import span_s

MISSED, IDLE = 4, 27
SILENT_S = 2.0
"""The bus shows that it lives once a second: a longer silence means that it is down."""
TICK_S = 1.0


@dataclass(slots=True)
class Feed:
    """Yields lists of envelopes in order; an empty one now and then, so that time can be told. `code`: how it ended."""

    view: View
    found: Chosen
    ending: Ending
    live: bool = False
    back: int | None = 0
    code: int = OK
    shown: int = 0
    cursor: int = 0
    _idle_s: float | None = None
    _down: bool = False
    _last: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, view: View, choice: Choice, ending: Ending, *, live: bool = False, back: int | None = 0) -> Feed:
        """The feed for what was typed.

        `back`: how many earlier signals come first where nothing else was said; None for all.
        """
        if ending.at_end and ending.idle:
            raise UsageError("-T stops at the end of the journal, and so waits for nothing; leave -W out.")
        idle = span_s(ending.idle) if ending.idle is not None else None
        if not ending.at_end and not bus_listens(view.paths):
            raise BusUnreachableError(
                f"No bus answers at {view.paths.bus_socket}. Start it: `ligand up`, or `systemctl start ligand-bus`. "
                "What was journaled: `signal-tap show`."
            )
        found = chosen(choice, view.paint.masker, view.paths.journal)
        return cls(view, found, ending, live, back, _idle_s=idle)

    def __iter__(self) -> Iterator[list[bytes]]:
        with Journal(self.view.paths.journal) as journal:
            file = CursorFile(self.ending.cursor_file) if self.ending.cursor_file else None
            self.cursor = self._begin(journal, file)
            for batch in self._to_end(journal) if self.ending.at_end else self._on(journal):
                yield batch
                if file and batch:
                    file.write(journal, self.cursor)
            if file:
                file.write(journal, self.cursor)

    def _begin(self, journal: Journal, file: CursorFile | None) -> int:
        noted = file.read(journal) if file and not self.found.start else None
        if noted is not None:
            return noted
        if self.back is None and not self.found.start:
            return 0
        return position(journal, self.found, self.back or 0, journal.head())

    # -- what was journaled --------------------------------------------------------------------------

    def _to_end(self, journal: Journal) -> Iterator[list[bytes]]:
        yield from self._rows(journal)
        if not self.shown and self.code == OK:
            self.code = NOTHING

    def _rows(self, journal: Journal) -> Iterator[list[bytes]]:
        head = journal.head()
        upto = last_seq(journal, self.found.until_us, head)
        for rows, looked in pages(journal, self.found.selection, self.cursor, upto):
            taken = self._within_limit(rows)
            self.cursor = taken[-1][0] if self._full() and taken else looked
            yield [raw for _, raw in taken]
            if self._full():
                return
        self.cursor = max(self.cursor, upto)

    def _within_limit(self, rows: list[Row]) -> list[Row]:
        limit = self.ending.limit
        taken = rows if limit is None else rows[: limit - self.shown]
        self._note(len(taken))
        return taken

    def _note(self, count: int) -> None:
        self.shown += count
        if count:
            self._last = time.monotonic()

    def _full(self) -> bool:
        return self.ending.limit is not None and self.shown >= self.ending.limit

    # -- what comes ----------------------------------------------------------------------------------

    def _on(self, journal: Journal) -> Iterator[list[bytes]]:
        catalogue = self.view.paint.catalogue
        live = frozenset(name for name, contract in catalogue.items() if contract.delivery == "live")
        selection = self.found.selection
        with Tail(self.view.paths, selection, self.cursor, is_live=live.__contains__, live=self.live) as tail:
            while not self._over():
                if self._missed(tail, journal):
                    return
                yield from self._rows(journal)
                if self._over():
                    return
                yield self._wait(tail)
                self.view.output.need_reader()

    def _wait(self, tail: Tail) -> list[bytes]:
        seen = tail.wait(self._patience_s())
        self._tell_of_bus(silent=seen is None)
        taken = (seen or [])[: None if self.ending.limit is None else self.ending.limit - self.shown]
        self._note(len(taken))
        return taken

    def _patience_s(self) -> float:
        left = SILENT_S if self._idle_s is None else self._last + self._idle_s - time.monotonic()
        if self.found.until_us is not None:
            left = min(left, self.found.until_us / 1e6 - time.time())
        return min(max(left, 0.001), SILENT_S)

    def _over(self) -> bool:
        if self._full():
            return True
        if self.found.until_us is not None and time.time() > self.found.until_us / 1e6 + 0.1:
            self.code = OK if self.shown else NOTHING
            return True
        if self._idle_s is not None and time.monotonic() - self._last >= self._idle_s:
            self.code = IDLE
            return True
        return False

    def _missed(self, tail: Tail, journal: Journal) -> bool:
        """Say what was missed; whether to stop for it."""
        missed = tail.missed()
        for name, count in missed.items():
            self.view.notice(f"-- missed {count} {name} (live signals are not kept) --")
        gone = max(0, journal.first() - self.cursor - 1) if self.cursor else 0
        if gone:
            self.view.notice(f"-- {gone} signals were past their retention before they could be shown --")
            self.cursor = journal.first() - 1
        if (missed or gone) and self.ending.strict:
            self.code = MISSED
        return self.code == MISSED

    def _tell_of_bus(self, *, silent: bool) -> None:
        """Say when the bus goes and comes."""
        if silent and not self._down and self._patience_s() >= TICK_S and not bus_listens(self.view.paths):
            self.view.notice("-- the bus does not answer; waiting for it --")
            self._down = True
        elif self._down and not silent:
            self.view.notice("-- the bus is back --")
            self._down = False
