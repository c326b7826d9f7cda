"""The stream of chosen signals: what was journaled, then what comes, until what was typed says to stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from signals.errors import BusUnreachableError, UsageError
from signals.journal import Journal
from tools.cli import NOTHING, OK, bus_listens
from tools.signal_tap.choosing import Chosen, CursorFile, chosen, position
from tools.signal_tap.following import BURST, QUEUED, Tail
from tools.signal_tap.options import Choice, Ending
from tools.signal_tap.output import View
from tools.signal_tap.reading import last_seq, pages, searched
from tools.signal_tap.stopping import Stop
from tools.signal_tap.times import span_s
from tools.signal_tap.widening import advice

MISSED = 4
SILENT_S = 2.0
"""The bus shows that it lives once a second: a longer silence means that it is down."""
TICK_S = 1.0


@dataclass(slots=True)
class Feed:
    """Yields lists of envelopes in order; an empty one now and then, so that time can be told. `code`: how it ended.

    What to read is said here; when to stop, by `stop`.
    """

    view: View
    choice: Choice
    found: Chosen
    ending: Ending
    stop: Stop
    live: bool = False
    back: int | None = 0
    code: int = OK
    cursor: int = 0
    _down: bool = False
    _first: int = 1

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
        Journal(view.paths.journal).close()  # not to be read: said before a file is begun
        found = chosen(choice, view.paint.masker, view.paths.journal)
        return cls(view, choice, found, ending, Stop(ending.limit, found.until_us, idle), live, back)

    @property
    def shown(self) -> int:
        """How many signals it has yielded."""
        return self.stop.shown

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
            if self.code == NOTHING:
                self.view.notice(self._advice(journal))

    def _advice(self, journal: Journal) -> str:
        upto = last_seq(journal, self.stop.until_us, journal.head())
        return advice(self.choice, searched(journal, self.view.paint.catalogue, self._first, upto))

    def _begin(self, journal: Journal, file: CursorFile | None) -> int:
        noted = file.read(journal) if file and not self.found.start else None
        self._first = journal.before_first() + 1
        if noted is not None:
            self._first = noted + 1
            return noted
        head = last_seq(journal, self.stop.until_us, journal.head())
        begin = 0 if self.back is None and not self.found.start else position(journal, self.found, self.back or 0, head)
        if self.found.start:
            self._first = begin + 1
        return begin or journal.before_first()  # from the first on: what retention took before was not asked for

    def _handed(self, raws: list[bytes]) -> Iterator[list[bytes]]:
        self.stop.shown += len(raws)
        yield raws
        if raws:
            self.stop.handed_on()

    # -- what was journaled --------------------------------------------------------------------------

    def _to_end(self, journal: Journal) -> Iterator[list[bytes]]:
        yield from self._rows(journal)
        if not self.shown and self.code == OK:
            self.code = NOTHING

    def _rows(self, journal: Journal) -> Iterator[list[bytes]]:
        """What is there now; where some are missing, that is said in their place."""
        upto = last_seq(journal, self.stop.until_us, journal.head())
        for first, last in journal.missing(self.cursor, upto):
            yield from self._stretch(journal, first - 1)
            if self.stop.full or self.code == MISSED or self._gone(journal, first, last):
                return
        yield from self._stretch(journal, upto)

    def _stretch(self, journal: Journal, upto: int) -> Iterator[list[bytes]]:
        for page in pages(journal, self.found.selection, self.cursor, upto):
            if page.pruned is not None:
                if self._gone(journal, *page.pruned):
                    return
                continue
            taken = page.rows[: self.stop.room]
            self.cursor = taken[-1][0] if len(taken) == self.stop.room else page.looked
            yield from self._handed([raw for _, raw in taken])
            if self.stop.full:
                return
        self.cursor = max(self.cursor, upto)

    def _gone(self, journal: Journal, first: int, last: int) -> bool:
        """Say that a run of signals is not in the journal; whether to stop for it."""
        count = last - first + 1
        if last <= journal.before_first():
            what = "were past their retention before they could be shown"
        else:
            what = "are missing in the journal"
        self.view.notice(f"-- {count} signals {what}: {first} to {last} --")
        self.cursor = last
        self.code = MISSED if self.ending.strict else self.code
        return self.ending.strict

    # -- what comes ----------------------------------------------------------------------------------

    def _on(self, journal: Journal) -> Iterator[list[bytes]]:
        catalogue = self.view.paint.catalogue
        live = frozenset(name for name, contract in catalogue.items() if contract.delivery == "live")
        selection = self.found.selection
        with Tail(self.view.paths, selection, self.cursor, is_live=live.__contains__, live=self.live) as tail:
            while not self.stop.full:
                due, before = self.stop.due(), self.shown
                yield from self._round(journal, tail)
                if self.code == MISSED:
                    return
                if journal.is_replaced():
                    self.view.notice("-- the journal was replaced (restore or salvage): begin anew --")
                    self.code = MISSED
                    return
                if (code := self.stop.ends(due, self.shown - before)) is not None:
                    self.code = code
                    return
                self.view.output.need_reader()

    def _round(self, journal: Journal, tail: Tail) -> Iterator[list[bytes]]:
        """All that is there now, and then what comes next."""
        if self._missed(tail):
            return
        yield from self._rows(journal)
        if self.stop.full or self.code == MISSED:
            return
        if self.live and self.stop.late:
            yield from self._left(tail)
        else:
            yield from self._handed(self._wait(tail))

    def _left(self, tail: Tail) -> Iterator[list[bytes]]:
        """The live signals that wait here already; not those that pour in meanwhile."""
        for seen in islice(iter(lambda: tail.wait(0), None), QUEUED // BURST):
            yield from self._handed(seen[: self.stop.room])
            if self.stop.full:
                return

    def _wait(self, tail: Tail) -> list[bytes]:
        seen = tail.wait(self.stop.patience_s(SILENT_S))
        self._tell_of_bus(silent=seen is None)
        return (seen or [])[: self.stop.room]

    def _missed(self, tail: Tail) -> bool:
        """Say which live signals were missed; whether to stop for it."""
        missed, restarted = tail.missed(), tail.restarted()
        if restarted:
            self.view.notice("-- the bus was restarted: what it showed live just before may be missing, uncounted --")
        for name, count in missed.items():
            self.view.notice(f"-- missed {count} {name} (live signals are not kept) --")
        if (missed or restarted) and self.ending.strict:
            self.code = MISSED
        return self.code == MISSED

    def _tell_of_bus(self, *, silent: bool) -> None:
        """Say when the bus goes and comes."""
        if silent and not self._down and self.stop.patience_s(SILENT_S) >= TICK_S and not bus_listens(self.view.paths):
            self.view.notice("-- the bus does not answer; waiting for it --")
            self._down = True
        elif self._down and not silent:
            self.view.notice("-- the bus is back --")
            self._down = False
