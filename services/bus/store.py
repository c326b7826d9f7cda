"""The journal's one writer: signals, consumers and deadlines; `dead` and `states` are its other tables.

What is written between two commits is one transaction.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import apsw

from services.bus.deadtable import DeadTable
from services.bus.records import Admitted, Aside, Deadline
from services.bus.soundness import check_log, check_pages
from services.bus.statetable import StateTable
from services.bus.transaction import Transaction
from signals.checksums import DamagedError, connect, is_damage, words
from signals.errors import ConfigError
from signals.ids import pack
from signals.journal import SCHEMA, SCHEMA_VERSION

PAGE_CACHE_KIB = 16 * 1024


class Store:
    """A write connection to the journal. A failed write or sync raises `apsw.Error`, and the bus ends."""

    def __init__(self, path: Path, *, synchronous: str = "FULL") -> None:
        """Open or make the journal.

        Raises `ConfigError` when the file is no journal of this version, `DamagedError` when it is not whole.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        check_log(path)
        try:
            check_pages(path)
            self.db = connect(path, writable=True)
            self._rows = Transaction(self.db)
            self._prepare(synchronous)
        except apsw.Error as error:
            if is_damage(error):
                raise DamagedError(path, words(error)) from error
            raise ConfigError(
                f"The journal {path} cannot be opened for writing ({error}). Check that it is a file, that its folder "
                "can be written, and that the disk has room."
            ) from error
        self.path = path
        self.dead = DeadTable(self._rows)
        self.states = StateTable(self._rows)
        self._words: dict[str, int] = {
            word: number for number, word in self.db.execute("SELECT word_id, word FROM word")
        }
        self._names = {number: word for word, number in self._words.items()}

    def _prepare(self, synchronous: str) -> None:
        self.db.set_busy_timeout(10_000)
        self.db.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, _true_flag())
        self.db.pragma("auto_vacuum", 2)
        self.db.pragma("journal_mode", "wal")
        self.db.pragma("synchronous", synchronous)
        self.db.pragma("cache_size", -PAGE_CACHE_KIB)
        self.db.pragma("wal_autocheckpoint", 4000)
        self.db.pragma("journal_size_limit", 64 << 20)
        if not self._all("SELECT name FROM sqlite_master WHERE name = 'meta'"):
            self.db.execute(
                f"BEGIN IMMEDIATE;{SCHEMA}INSERT INTO meta VALUES ('schema_version', {SCHEMA_VERSION});COMMIT"
            )
        found = self.meta("schema_version")
        if found != SCHEMA_VERSION:
            raise ConfigError(f"The journal {self.db.filename} has version {found}; this bus writes {SCHEMA_VERSION}.")

    def close(self) -> None:
        """Check point and let go of the file."""
        self.db.pragma("wal_checkpoint", "TRUNCATE")
        self.db.close()

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._rows.all(sql, values)

    def _write(self, sql: str, values: Sequence[Any] = ()) -> None:
        self._rows.write(sql, values)

    @property
    def dirty(self) -> bool:
        """Whether something was written since the last commit."""
        return self._rows.dirty

    def commit(self) -> None:
        """Make all that was written durable. When it returns, it is on disk."""
        self._rows.commit()

    # -- meta ----------------------------------------------------------------------------------------

    def meta(self, key: str, default: Any = None) -> Any:
        """One value of the bus's own."""
        found = self._all("SELECT value FROM meta WHERE key = ?", [key])
        return found[0][0] if found else default

    def put_meta(self, key: str, value: Any) -> None:
        """Keep one value of the bus's own."""
        self._write(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [key, value],
        )

    # -- signals -------------------------------------------------------------------------------------

    def head(self) -> int:
        """The highest `seq` ever given, pruned ones included."""
        found = int(self._all("SELECT coalesce(max(seq), 0) FROM signal")[0][0])
        return max(found, int(self.meta("pruned_to", 0)))

    def word(self, text: str) -> int:
        """The number that stands for a name or a source."""
        number = self._words.get(text)
        if number is None:
            self._write("INSERT INTO word (word) VALUES (?)", [text])
            number = self._words[text] = self.db.last_insert_rowid()
            self._names[number] = text
        return number

    def insert(self, admitted: Admitted) -> None:
        """Journal one signal."""
        packed, story, cause = pack(admitted.id), admitted.correlation_id, admitted.causation_id
        self._write(
            "INSERT INTO signal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                admitted.seq,
                packed,
                self.word(admitted.name),
                self.word(admitted.source),
                packed if story == admitted.id else pack(story),
                pack(cause) if cause else None,
                admitted.hops,
                admitted.received_us,
                admitted.digest,
                admitted.raw,
            ),
        )

    def find(self, signal_id: str, source: str) -> tuple[int, bytes] | None:
        """(seq, digest) of the signal with this id from this source."""
        number = self._words.get(source)
        if number is None:
            return None
        row = self.db.execute(
            "SELECT seq, digest FROM signal WHERE id = ? AND source = ?", (pack(signal_id), number)
        ).fetchone()
        return row

    def by_id(self, signal_id: str) -> list[tuple[int, bytes]]:
        """(seq, envelope) of every signal with this id."""
        return self._all("SELECT seq, envelope FROM signal WHERE id = ?", [pack(signal_id)])

    def envelope(self, seq: int) -> bytes | None:
        """The envelope at `seq`, if it is still kept."""
        found = self._all("SELECT envelope FROM signal WHERE seq = ?", [seq])
        return found[0][0] if found else None

    def story_size(self, correlation_id: str) -> int:
        """How many signals a story has."""
        return int(self._all("SELECT count(*) FROM signal WHERE correlation = ?", [pack(correlation_id)])[0][0])

    def caused_by(self, correlation_id: str, causation_id: str) -> list[tuple[int, bytes]]:
        """(seq, envelope) of what was emitted because of one signal of a story, in order."""
        return self._all(
            "SELECT seq, envelope FROM signal WHERE correlation = ? AND causation = ? ORDER BY seq",
            [pack(correlation_id), pack(causation_id)],
        )

    def page(self, after: int, names: Iterable[str], limit: int, span: int) -> tuple[list[tuple[int, str, bytes]], int]:
        """Up to `limit` signals of these names after `after`, and how far that page has looked (`span` at most)."""
        numbers = [str(self._words[name]) for name in names if name in self._words]
        upto = after + span
        sql = f"""SELECT seq, name, envelope FROM signal WHERE seq > ? AND seq <= ? AND name IN ({",".join(numbers)})
                  ORDER BY seq LIMIT ?"""
        rows = [(seq, self._names[name], raw) for seq, name, raw in self._all(sql, (after, upto, limit))]
        return rows, rows[-1][0] if len(rows) == limit else upto

    def first_after(self, names: Iterable[str], after: int) -> tuple[int, str, bytes] | None:
        """(seq, name, envelope) of the first signal of these names after `after`."""
        firsts = [
            found
            for name in names
            if name in self._words
            for found in self._all(
                "SELECT min(seq), name FROM signal WHERE name = ? AND seq > ?", [self._words[name], after]
            )
            if found[0] is not None
        ]
        if not firsts:
            return None
        seq, name = min(firsts)
        return seq, self._names[name], self.envelope(seq) or b""

    def count_after(self, names: Iterable[str], after: int) -> int:
        """How many signals of these names come after `after`."""
        numbers = [str(self._words[name]) for name in names if name in self._words]
        return int(
            self._all(f"SELECT count(*) FROM signal WHERE name IN ({','.join(numbers)}) AND seq > ?", [after])[0][0]
        )

    def received_at(self, seq: int) -> int | None:
        """When the first signal at or after `seq` was received, in Unix microseconds."""
        found = self._all("SELECT received_us FROM signal WHERE seq >= ? ORDER BY seq LIMIT 1", [seq])
        return found[0][0] if found else None

    # -- consumers -----------------------------------------------------------------------------------

    def cursors(self) -> dict[str, tuple[int, float]]:
        """Each consumer's cursor, and when it was last attached (Unix seconds)."""
        return {
            consumer: (cursor, seen)
            for consumer, cursor, seen in self._all("SELECT consumer, cursor, seen_at FROM consumer")
        }

    def consumers(self) -> list[tuple[str, str]]:
        """(daemon, consumer) of each consumer."""
        return self._all("SELECT daemon, consumer FROM consumer")

    def register(self, consumer: str, daemon: str, cursor: int) -> None:
        """Give a new consumer its cursor."""
        self._write("INSERT INTO consumer VALUES (?, ?, ?, ?)", [consumer, daemon, cursor, time.time()])

    def unregister(self, consumer: str) -> None:
        """Forget a consumer and what stands aside for it."""
        self._write("DELETE FROM aside WHERE consumer = ?", [consumer])
        self._write("DELETE FROM consumer WHERE consumer = ?", [consumer])

    def put_cursor(self, consumer: str, cursor: int) -> None:
        """Move a cursor."""
        self._write("UPDATE consumer SET cursor = ? WHERE consumer = ?", [cursor, consumer])

    def put_seen(self, consumers: Iterable[str], at: float) -> None:
        """Note that these consumers were attached."""
        for consumer in consumers:
            self._write("UPDATE consumer SET seen_at = ? WHERE consumer = ?", [at, consumer])

    def asides(self) -> list[tuple[str, Aside]]:
        """Everything that stands aside, with its consumer."""
        rows = self._all("SELECT * FROM aside ORDER BY consumer, seq")
        return [(consumer, Aside(*rest)) for consumer, *rest in rows]

    def put_aside(self, consumer: str, aside: Aside) -> None:
        """Set a signal aside for a consumer, or note what became of it."""
        self._write(
            "INSERT OR REPLACE INTO aside VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [
                consumer,
                aside.seq,
                aside.attempts,
                aside.crashes,
                aside.suspect,
                aside.generation,
                aside.errors_before,
                aside.due,
                aside.first_failed_at,
                aside.error,
                aside.traceback,
                aside.replayed,
                aside.envelope,
            ],
        )

    def drop_aside(self, consumer: str, seq: int) -> None:
        """A signal no longer stands aside."""
        self._write("DELETE FROM aside WHERE consumer = ? AND seq = ?", [consumer, seq])

    # -- deadlines -----------------------------------------------------------------------------------

    def open_deadlines(self) -> list[Deadline]:
        """Every request that still waits for its answer."""
        rows = self._all(
            """SELECT d.seq, d.id, status, queued_until, within_s, delivered, due, consumer, word
               FROM deadline d JOIN signal s ON s.seq = d.seq JOIN word ON word_id = source WHERE status = 'open'"""
        )
        return [Deadline.from_row(row) for row in rows]

    def timed_out(self) -> set[int]:
        """The `seq` of every kept request that got no answer in time."""
        return {row[0] for row in self._all("SELECT seq FROM deadline WHERE status = 'timed_out'")}

    def deadline(self, signal_id: str, source: str) -> Deadline | None:
        """The deadline of a request, open or not."""
        found = self._all(
            """SELECT d.seq, d.id, status, queued_until, within_s, delivered, due, consumer, word
               FROM deadline d JOIN signal s ON s.seq = d.seq JOIN word ON word_id = source
               WHERE d.id = ? AND word = ?""",
            [pack(signal_id), source],
        )
        return Deadline.from_row(found[0]) if found else None

    def put_deadline(self, deadline: Deadline) -> None:
        """Keep a deadline as it now is."""
        self._write("INSERT OR REPLACE INTO deadline VALUES (?, ?, ?, ?, ?, ?, ?, ?)", deadline.to_row())

    # -- room ----------------------------------------------------------------------------------------

    def used_bytes(self) -> int:
        """Bytes in use in the journal's file, free pages apart."""
        pages = int(self.db.pragma("page_count")) - int(self.db.pragma("freelist_count"))
        return pages * int(self.db.pragma("page_size"))

    def oldest(self) -> tuple[int, int] | None:
        """(seq, received_us) of the oldest signal kept."""
        found = self._all("SELECT seq, received_us FROM signal ORDER BY seq LIMIT 1")
        return found[0] if found else None

    def oldest_of(self, upto: int, before_us: int | None, limit: int) -> list[int]:
        """The `seq` of up to `limit` of the oldest signals to `upto`, received before `before_us` if given.

        Only to the first that is younger, whatever was stamped after it while the clock was wrong.
        """
        rows = self._all("SELECT seq, received_us FROM signal WHERE seq <= ? ORDER BY seq LIMIT ?", [upto, limit])
        return [seq for seq, _ in takewhile(lambda row: before_us is None or row[1] < before_us, rows)]

    def prune(self, upto: int) -> None:
        """Delete the signals with `seq` to `upto`, and what is known of their deadlines."""
        self._write("DELETE FROM signal WHERE seq <= ?", [upto])
        self._write("DELETE FROM deadline WHERE seq <= ? AND status != 'open'", [upto])
        self.put_meta("pruned_to", upto)

    def has_pruned(self) -> bool:
        """Whether a signal that is not here may have been."""
        return bool(self.meta("pruned_to", 0))

    def give_back_pages(self, pages: int = 200) -> None:
        """Return free pages to the file system."""
        if int(self.db.pragma("freelist_count")) > pages:
            list(self.db.execute(f"PRAGMA incremental_vacuum({pages})"))


_PERSIST = ctypes.c_int(1)


def _true_flag() -> int:
    return ctypes.addressof(_PERSIST)
