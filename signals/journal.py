"""The journal's tables, and how to read them without writing: short pages, no transaction held across output."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import orjson

from signals.checksums import DamagedError, connect, is_damage, words
from signals.errors import ConfigError, LigandError
from signals.ids import is_id, pack, unpack

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE word (word_id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);
CREATE TABLE signal (
  seq INTEGER PRIMARY KEY,
  id BLOB NOT NULL,
  name INTEGER NOT NULL,
  source INTEGER NOT NULL,
  correlation BLOB NOT NULL,
  causation BLOB,
  hops INTEGER NOT NULL,
  received_us INTEGER NOT NULL,
  digest BLOB NOT NULL,
  envelope BLOB NOT NULL
);
CREATE UNIQUE INDEX signal_id ON signal (id, source);
CREATE INDEX signal_correlation ON signal (correlation);
CREATE INDEX signal_name ON signal (name);
CREATE TABLE consumer (
  consumer TEXT PRIMARY KEY,
  daemon TEXT NOT NULL,
  cursor INTEGER NOT NULL,
  seen_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE aside (
  consumer TEXT NOT NULL,
  seq INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  crashes INTEGER NOT NULL,
  suspect INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  errors_before INTEGER NOT NULL,
  due REAL NOT NULL,
  first_failed_at TEXT,
  error TEXT,
  traceback TEXT,
  replayed INTEGER NOT NULL,
  envelope BLOB,
  PRIMARY KEY (consumer, seq)
) WITHOUT ROWID;
CREATE TABLE state (
  daemon TEXT NOT NULL,
  key TEXT NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (daemon, key)
) WITHOUT ROWID;
CREATE TABLE deadline (
  seq INTEGER PRIMARY KEY,
  id BLOB NOT NULL,
  status TEXT NOT NULL,
  queued_until REAL,
  within_s REAL NOT NULL,
  delivered REAL,
  due REAL,
  consumer TEXT
);
CREATE INDEX deadline_id ON deadline (id);
CREATE INDEX deadline_open ON deadline (status) WHERE status = 'open';
CREATE TABLE dead (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  at_us INTEGER NOT NULL,
  reason TEXT NOT NULL,
  daemon TEXT NOT NULL,
  consumer TEXT,
  signal TEXT,
  seq INTEGER,
  correlation BLOB,
  generation INTEGER NOT NULL,
  status TEXT NOT NULL,
  file_offset INTEGER,
  line BLOB
);
CREATE INDEX dead_correlation ON dead (correlation);
"""


MANY = 5000
_SEQS = "SELECT seq FROM signal WHERE seq > ? AND seq <= ? ORDER BY seq"


@dataclass(frozen=True, slots=True)
class ConsumerRow:
    """What the journal knows of one consumer: its cursor, and what stands aside."""

    consumer: str
    daemon: str
    cursor: int
    aside: int


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode; None in the instant in which a restore has taken one file away and not yet put the other."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class Journal:
    """A read-only view of the journal; works with the bus up or down."""

    def __init__(self, path: Path) -> None:
        """Open `path`. Raises `ConfigError` when there is no journal to read."""
        if not path.exists():
            raise ConfigError(f"There is no journal at {path}. Has the bus run here? Check --home or LIGAND_HOME.")
        self.path = path
        try:
            self._db = connect(path)
        except apsw.Error as error:
            raise ConfigError(f"Cannot read the journal {path}: {error}.") from error
        try:
            self._db.set_busy_timeout(5000)
            self._check_version()
            self._file = _identity(path)
        except LigandError:
            self._db.close()
            raise
        except apsw.Error as error:
            self._db.close()
            raise ConfigError(f"Cannot read the journal {path}: {error}.") from error
        self._words: dict[int, str] = {}

    def _check_version(self) -> None:
        found = self._all("SELECT value FROM meta WHERE key = 'schema_version'")
        if not found or found[0][0] != SCHEMA_VERSION:
            raise ConfigError(f"The journal {self.path} was written by another version of Ligand.")

    def is_replaced(self) -> bool:
        """Whether another file has its name now, as a restore or salvage leaves it: this one gets nothing more."""
        return _identity(self.path) not in (None, self._file)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return list(self._db.execute(sql, tuple(values)))
        except apsw.Error as error:
            if is_damage(error):
                raise DamagedError(self.path, words(error)) from error
            raise

    def head(self) -> int:
        """The highest `seq` ever given, pruned ones included; 0 in an empty journal."""
        sql = """SELECT max((SELECT coalesce(max(seq), 0) FROM signal),
                            coalesce((SELECT value FROM meta WHERE key = 'pruned_to'), 0))"""
        return int(self._all(sql)[0][0])

    def first(self) -> int:
        """The lowest `seq` that is still kept; 0 when none is."""
        return int(self._all("SELECT coalesce(min(seq), 0) FROM signal")[0][0])

    def before_first(self) -> int:
        """The `seq` after which all that is kept comes."""
        first = self.first()
        return first - 1 if first else self.head()

    def missing(self, after: int, upto: int) -> Iterator[tuple[int, int]]:
        """The first and last of each run with `after` < `seq` <= `upto` that is not kept, the pruned ones too."""
        if upto - after > MANY and after >= self.before_first() and self._whole():
            return
        while after < upto and (rows := self._all(f"{_SEQS} LIMIT {MANY}", [after, upto])):
            for (seq,) in rows:
                if seq > after + 1:
                    yield after + 1, seq - 1
                after = seq
        if after < upto:
            yield after + 1, upto

    def _whole(self) -> bool:
        count, first, last = self._all("SELECT count(*), min(seq), max(seq) FROM signal")[0]
        return bool(count) and count == last - first + 1 and last == self.head()

    def names(self) -> dict[str, int]:
        """How many of each signal are kept."""
        rows = self._all(
            "SELECT word, n FROM (SELECT name, count(*) n FROM signal GROUP BY name) JOIN word ON word_id = name"
        )
        return dict(rows)

    def known(self) -> list[str]:
        """The names of the signals that are kept; quick however many they are."""
        rows = self._all("SELECT word FROM word WHERE EXISTS (SELECT 1 FROM signal WHERE name = word_id)")
        return [row[0] for row in rows]

    def counts(self, name: str, after: int = 0) -> int:
        """How many signals of a name are kept with `seq` over `after`."""
        sql = "SELECT count(*) FROM signal WHERE name = (SELECT word_id FROM word WHERE word = ?) AND seq > ?"
        return int(self._all(sql, [name, after])[0][0])

    def latest(self, name: str) -> bytes | None:
        """The newest kept envelope of a name."""
        sql = """SELECT envelope FROM signal WHERE seq =
                 (SELECT max(seq) FROM signal WHERE name = (SELECT word_id FROM word WHERE word = ?))"""
        rows = self._all(sql, [name])
        return rows[0][0] if rows else None

    def extent(self, first: int, last: int) -> tuple[int, int]:
        """How many signals from `first` to `last` are kept, and the bytes of their envelopes."""
        sql = "SELECT count(*), coalesce(sum(length(envelope)), 0) FROM signal WHERE seq BETWEEN ? AND ?"
        count, size = self._all(sql, [first, last])[0]
        return int(count), int(size)

    def gaps(self) -> Iterator[tuple[int, int]]:
        """The first and last of each run of sequence numbers that are missing between what is kept."""
        last = int(self._all("SELECT coalesce(max(seq), 0) FROM signal")[0][0])
        yield from self.missing(self.before_first(), last)

    def page(self, after: int, limit: int = 500, names: Sequence[str] | None = None) -> list[tuple[int, bytes]]:
        """Up to `limit` envelopes with `seq` over `after`, in order; of these names only, if given."""
        where, values = self._named(names)
        return self._all(
            f"SELECT seq, envelope FROM signal WHERE seq > ? {where} ORDER BY seq LIMIT ?",
            [after, *values, limit],
        )

    def page_whole(
        self, after: int, limit: int = 500, names: Sequence[str] | None = None
    ) -> tuple[int, list[tuple[int, bytes]]]:
        """What `before_first` and `page` say of one and the same instant, however retention goes on meanwhile."""
        with self._db:
            found = self.before_first(), self.page(after, limit, names)
        return found

    def page_before(self, before: int, limit: int = 500, names: Sequence[str] | None = None) -> list[tuple[int, bytes]]:
        """Up to `limit` envelopes with `seq` under `before`, newest first."""
        where, values = self._named(names)
        return self._all(
            f"SELECT seq, envelope FROM signal WHERE seq < ? {where} ORDER BY seq DESC LIMIT ?",
            [before, *values, limit],
        )

    def _named(self, names: Sequence[str] | None) -> tuple[str, list[str]]:
        if names is None:
            return "", []
        marks = ",".join("?" * len(names))
        return f"AND name IN (SELECT word_id FROM word WHERE word IN ({marks}))", list(names)

    def walk(self, after: int = 0, names: Sequence[str] | None = None, page: int = 500) -> Iterator[tuple[int, bytes]]:
        """Every envelope after `after`, read page by page until the end as it is then."""
        while rows := self.page(after, page, names):
            yield from rows
            after = rows[-1][0]

    def seq_at(self, received_us: int) -> int:
        """The lowest `seq` received at or after a time in Unix microseconds; head + 1 when there is none."""
        low, high = self.before_first() + 1, self.head() + 1
        while low < high:
            middle = (low + high) // 2
            rows = self._all("SELECT seq, received_us FROM signal WHERE seq >= ? ORDER BY seq LIMIT 1", [middle])
            if rows and rows[0][1] < received_us:
                low = rows[0][0] + 1
            else:
                high = middle
        return low

    def get(self, key: int | str) -> list[bytes]:
        """The envelopes with this `seq` or id (an id is unique per source); empty when there is none."""
        if isinstance(key, int):
            rows = self._all("SELECT envelope FROM signal WHERE seq = ?", [key])
        elif is_id(key):
            rows = self._all("SELECT envelope FROM signal WHERE id = ? ORDER BY seq", [pack(key)])
        else:
            raise LigandError(f"{key!r} is neither a sequence number nor an id.")
        return [row[0] for row in rows]

    def with_prefix(self, prefix: str, limit: int = 10) -> list[str]:
        """Ids that begin with `prefix` (8 or more hexadecimal digits, hyphens allowed)."""
        digits = prefix.replace("-", "").lower()
        low = bytes.fromhex(digits.ljust(32, "0"))
        high = bytes.fromhex(digits.ljust(32, "f"))
        rows = self._all("SELECT DISTINCT id FROM signal WHERE id BETWEEN ? AND ? LIMIT ?", [low, high, limit])
        return [unpack(row[0]) for row in rows]

    def story(self, correlation_id: str) -> list[bytes]:
        """Every kept envelope of a story, in order."""
        rows = self._all("SELECT envelope FROM signal WHERE correlation = ? ORDER BY seq", [pack(correlation_id)])
        return [row[0] for row in rows]

    def dead(self, statuses: Sequence[str] = ("dead",)) -> Iterator[dict[str, Any]]:
        """The dead letters, oldest first, as the lines of the dead-letter file say them."""
        number = 0
        marks = ",".join("?" * len(statuses))
        sql = f"""SELECT number, line, status, file_offset FROM dead
                  WHERE number > ? AND status IN ({marks}) ORDER BY number LIMIT 200"""
        while rows := self._all(sql, [number, *statuses]):
            for found in rows:
                yield self._dead_line(found)
            number = rows[-1][0]

    def dead_of(self, correlation_id: str) -> list[dict[str, Any]]:
        """The dead letters of one story."""
        sql = "SELECT number, line, status, file_offset FROM dead WHERE correlation = ? ORDER BY number"
        return [self._dead_line(found) for found in self._all(sql, [pack(correlation_id)])]

    def dead_refused(self, since_us: int) -> Iterator[dict[str, Any]]:
        """The dead letters of refused emits since a time in Unix microseconds; no story is noted for them."""
        number = 0
        sql = """SELECT number, line, status, file_offset FROM dead
                 WHERE number > ? AND consumer IS NULL AND at_us >= ? ORDER BY number LIMIT 200"""
        while rows := self._all(sql, [number, since_us]):
            for found in rows:
                yield self._dead_line(found)
            number = rows[-1][0]

    def dead_number(self, number: int) -> dict[str, Any] | None:
        """One dead letter."""
        rows = self._all("SELECT number, line, status, file_offset FROM dead WHERE number = ?", [number])
        return self._dead_line(rows[0]) if rows else None

    def _dead_line(self, found: tuple[Any, ...]) -> dict[str, Any]:
        number, line, status, offset = found
        if line is None:
            line = _line_at(self.path.parent / "failed_signals.jsonl", offset, number)
        return {**orjson.loads(line), "status": status}

    def consumers(self) -> list[ConsumerRow]:
        """Every consumer the journal knows."""
        sql = """SELECT consumer, daemon, cursor, (SELECT count(*) FROM aside a WHERE a.consumer = c.consumer)
                 FROM consumer c ORDER BY consumer"""
        return [ConsumerRow(*row) for row in self._all(sql)]

    def state_of(self, daemon: str) -> dict[str, Any]:
        """What a daemon keeps with its acknowledgements."""
        rows = self._all("SELECT key, value FROM state WHERE daemon = ? ORDER BY key", [daemon])
        return {key: orjson.loads(value) for key, value in rows}

    def asides(self, consumer: str) -> list[tuple[int, int, str | None]]:
        """What stands aside for a consumer: (seq, attempts, last error)."""
        return self._all("SELECT seq, attempts, error FROM aside WHERE consumer = ? ORDER BY seq", [consumer])


def letters_in(path: Path) -> Callable[[int], dict[str, Any] | None]:
    """Finds the dead letters of a journal by number; None for those that are gone, and where there is no journal."""

    def find(number: int) -> dict[str, Any] | None:
        if not path.exists():
            return None
        with Journal(path) as journal:
            try:
                return journal.dead_number(number)
            except FileNotFoundError:  # the file of dead letters was taken away
                return None

    return find


def _line_at(path: Path, offset: int, number: int) -> bytes:
    """The line of a dead letter; elsewhere in the file when older ones were pruned meanwhile."""
    start = b'{"dead_letter_id":%d,' % number
    with path.open("rb") as lines:
        lines.seek(offset)
        line = lines.readline()
        if line.startswith(start):
            return line
        lines.seek(0)
        return next((line for line in lines if line.startswith(start)), b'{"dead_letter_id":%d}' % number)
