"""Making a new journal of what a damaged one still holds.

The damaged file and its write-ahead log are put together in a copy, page by page; from there row after row goes into
a new journal. The damaged files are kept beside it, as they were.
"""

from __future__ import annotations

import mmap
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import orjson

from services.runtime import restoring
from signals.envelope import unix_seconds
from signals.errors import UsageError
from signals.ids import pack
from signals.journal import SCHEMA, SCHEMA_VERSION
from signals.paths import Paths
from signals.wal import frames, lost_commits
from tools.ligand.backup import DamagedError, bus_held_off, check_integrity
from tools.ligand.leaves import Pages

PAGE_BYTES = 4096
PAGE = 200
MAX_GROWN = 1 << 20
SMALL = {"consumer": ("consumer",), "state": ("daemon", "key"), "aside": ("consumer", "seq"), "meta": ("key",)}
SIGNAL_COLUMNS, DEAD_COLUMNS = 10, 12
SHOWN = 10
LABELS = {"consumer": "consumers", "aside": "set aside", "state": "values of state", "dead": "dead letters"}
LOST_WORDS = {
    "consumer": "the cursors of consumers. One that is missing begins at the end: what it had not handled is not given",
    "aside": "what was set aside. Such a signal counts as handled",
    "state": "the small state of daemons. One that is missing begins anew",
    "dead": "the table of dead letters",
    "meta": "what the bus keeps of itself: pauses, and its running time",
}
KEPT_META = ("schema_version", "pruned_to")


@dataclass
class Salvaged:
    """What was kept and what was lost. `lost` are runs of `seq`, first and last; `incomplete` are tables."""

    signals: int = 0
    head: int = 0
    lost: list[tuple[int, int]] = field(default_factory=list)
    kept: dict[str, int] = field(default_factory=dict)
    incomplete: list[str] = field(default_factory=list)
    letters_from_file: int = 0
    deadlines_lost: int = 0
    log_frames_damaged: int = 0
    set_aside: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """As `-o json` shows it."""
        return {
            "signals": self.signals,
            "head": self.head,
            "lost_signals": sum(last - first + 1 for first, last in self.lost),
            "lost": [list(run) for run in self.lost],
            "kept": self.kept,
            "incomplete": self.incomplete,
            "dead_letters_from_file": self.letters_from_file,
            "deadlines_lost": self.deadlines_lost,
            "log_frames_damaged": self.log_frames_damaged,
            "kept_aside": str(self.set_aside) if self.set_aside else None,
        }


def is_whole(path: Path) -> bool:
    """Whether there is nothing to salvage."""
    if lost_commits(path.with_name(f"{path.name}-wal")) > 1:
        return False
    try:
        check_integrity(path)
    except DamagedError:
        return False
    return True


def salvage(paths: Paths, *, dry_run: bool) -> Salvaged:
    """Put a new journal of what can be read in the place of a damaged one, which is kept aside.

    Raises `BusRunsError` while a bus runs, `UsageError` when there is no journal or nothing is wrong with it,
    `DamagedError` when nothing at all can be read.
    """
    with bus_held_off(paths):
        restoring.finish(paths.journal.parent)
        if not paths.journal.exists():
            raise UsageError(f"There is no journal at {paths.journal}. Check --home or LIGAND_HOME.")
        if is_whole(paths.journal):
            raise UsageError(f"The journal {paths.journal} is whole: there is nothing to salvage.")
        work = paths.journal.parent / f".salvage-{os.getpid()}"
        work.mkdir(mode=0o700)
        try:
            found = _Salvage(paths, work).run()
            if not dry_run:
                found.set_aside = _replace(paths, work / "journal.db")
        finally:
            shutil.rmtree(work)
        return found


def _replace(paths: Paths, fresh: Path) -> Path | None:
    """Put it in place as a restored backup is, so that a kill at any instant leaves the one or the other."""
    state = paths.journal.parent
    owner = paths.journal.stat()
    os.chown(fresh, owner.st_uid, owner.st_gid)
    fresh.chmod(0o640)
    fresh.rename(restoring.prepare(state) / restoring.JOURNAL)
    restoring.decide(state, f"damaged-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}", owner)
    return restoring.finish(state)


def words(found: Salvaged) -> Iterator[str]:
    """The result as a person reads it."""
    yield f"kept {found.signals:,} signals to #{found.head}" + "".join(
        f", {count:,} {LABELS[table]}" for table, count in found.kept.items() if table in LABELS
    )
    lost = sum(last - first + 1 for first, last in found.lost)
    runs = ", ".join(f"#{first}" if first == last else f"#{first} to #{last}" for first, last in found.lost[:SHOWN])
    more = f" and {len(found.lost) - SHOWN} more runs" if len(found.lost) > SHOWN else ""
    yield f"lost {lost:,} signals: {runs}{more}" if lost else "lost no signal"
    for table in found.incomplete:
        if table in LOST_WORDS:
            yield f"lost in part: {LOST_WORDS[table]}"
    if found.letters_from_file:
        yield f"{found.letters_from_file:,} dead letters were taken from their file; all of them wait again"
    if found.deadlines_lost:
        yield f"{found.deadlines_lost:,} requests are lost that still waited for their answer: no time-out will come"
    if found.log_frames_damaged:
        yield f"{found.log_frames_damaged:,} pages of the write-ahead log were damaged"
    yield f"the damaged files: {found.set_aside}" if found.set_aside else "nothing was changed"


class _Salvage:
    def __init__(self, paths: Paths, work: Path) -> None:
        self._paths = paths
        self._found = Salvaged()
        fresh = work / "journal.db"
        self._new = apsw.Connection(str(fresh))
        self._new.pragma("auto_vacuum", 2)
        self._new.execute(
            f"BEGIN IMMEDIATE;{SCHEMA}INSERT INTO meta VALUES ('schema_version', {SCHEMA_VERSION});COMMIT"
        )
        self._damaged = work / "damaged.db"
        self._assemble(fresh.read_bytes())
        self._words: dict[str, int] = {}
        self._seqs: set[int] = set()
        self._highest = 0
        self._pruned_to = 0

    def run(self) -> Salvaged:
        """Copy all that can be read, check it, and say what that is."""
        with (
            closing(self._new),
            closing(apsw.Connection(str(self._damaged), flags=apsw.SQLITE_OPEN_READONLY)) as self._old,
        ):
            self._new.execute("BEGIN IMMEDIATE")
            self._small_tables()
            self._signals()
            self._deadlines()
            self._dead()
            self._say_head()
            self._new.execute("COMMIT")
        self._pages.close()
        check_integrity(self._damaged.with_name("journal.db"))
        return self._found

    # -- pages ---------------------------------------------------------------------------------------

    def _assemble(self, fresh: bytes) -> None:
        """One file of the database and the sound frames of its log, with a first page that can be read."""
        shutil.copyfile(self._paths.journal, self._damaged)
        count = self._damaged.stat().st_size // PAGE_BYTES
        with self._damaged.open("r+b") as pages:
            for frame in frames(self._paths.journal.with_name("journal.db-wal")):
                self._found.log_frames_damaged += not frame.intact
                if frame.intact and 0 < frame.page < count + MAX_GROWN:
                    pages.seek((frame.page - 1) * PAGE_BYTES)
                    pages.write(frame.data)
                    count = frame.pages or count
            pages.truncate(count * PAGE_BYTES)
            pages.seek(0)
            first = pages.read(PAGE_BYTES)
            first = (
                first if _can_open(first) else fresh[:PAGE_BYTES]
            )  # a new journal's schema is the same page for page
            pages.seek(0)
            pages.write(_alone(first, count))
        with self._damaged.open("rb") as whole:
            self._pages = Pages(mmap.mmap(whole.fileno(), 0, prot=mmap.PROT_READ), PAGE_BYTES)

    # -- tables --------------------------------------------------------------------------------------

    def _small_tables(self) -> None:
        for table, key in SMALL.items():
            rows = self._walk(table, key)
            for row in rows.values():
                if table == "meta" and row[0] in KEPT_META:
                    self._pruned_to = max(self._pruned_to, row[1] if row[0] == "pruned_to" else 0)
                    continue
                marks = ",".join("?" * len(row))
                self._new.execute(f"INSERT INTO {table} VALUES ({marks})", row)
            self._found.kept[table] = len(rows)
            numbers = {"consumer": 2, "aside": 1}.get(table)
            if numbers is not None:
                self._highest = max([self._highest, *(int(row[numbers]) for row in rows.values())])

    def _walk(self, table: str, key: tuple[str, ...]) -> dict[Any, tuple[Any, ...]]:
        """The rows of a small table from its beginning and from its end, each up to what cannot be read."""
        found: dict[Any, tuple[Any, ...]] = {}
        columns = [name for _, name, *_ in self._new.execute(f"PRAGMA table_info({table})")]
        places = [columns.index(name) for name in key]
        for order in ("ASC", "DESC"):
            by = ",".join(f"{name} {order}" for name in key)
            try:
                for row in self._old.execute(f"SELECT * FROM {table} NOT INDEXED ORDER BY {by}"):
                    found[tuple(row[place] for place in places)] = row
            except (apsw.Error, UnicodeDecodeError):
                if table not in self._found.incomplete:
                    self._found.incomplete.append(table)
        return found

    def _rows(self, table: str, key: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a large table in order, over what cannot be read: one number after the other there."""
        after, upto = 0, self._last(table, key)
        while after < upto:
            try:
                rows = list(
                    self._old.execute(f"SELECT * FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT {PAGE}", [after])
                )
            except (apsw.Error, UnicodeDecodeError):
                yield from self._singly(table, key, after + 1, after + PAGE)
                after += PAGE
                continue
            if not rows:
                return
            yield from rows
            after = rows[-1][0]

    def _singly(self, table: str, key: str, first: int, last: int) -> Iterator[tuple[Any, ...]]:
        for number in range(first, last + 1):
            try:
                yield from list(self._old.execute(f"SELECT * FROM {table} WHERE {key} = ?", [number]))
            except (apsw.Error, UnicodeDecodeError):
                if table not in self._found.incomplete:
                    self._found.incomplete.append(table)

    def _last(self, table: str, key: str) -> int:
        """The highest number that a table may have."""
        known = [self._highest]
        for asked in (f"SELECT max({key}) FROM {table}", "SELECT max(seq) FROM signal INDEXED BY signal_id"):
            try:
                known += [int(row[0] or 0) for row in self._old.execute(asked)]
            except apsw.Error:
                continue  # another way may be open
        return max(known) + PAGE

    # -- signals -------------------------------------------------------------------------------------

    def _signals(self) -> None:
        for row in self._rows("signal", "seq"):
            self._signal(row)
        for seq, values in self._pages.rows(SIGNAL_COLUMNS):
            if seq > self._pruned_to and seq not in self._seqs:
                self._signal((seq, *values[1:]))
        self._found.signals = self._found.kept["signal"] = len(self._seqs)

    def _signal(self, row: tuple[Any, ...]) -> None:
        """Keep a signal whose envelope is whole and its own; the rest of its row is taken from there if need be."""
        seq, raw = row[0], row[9]
        envelope = _envelope(raw, seq)
        if envelope is None or seq in self._seqs or not isinstance(row[8], bytes):
            return
        cause = envelope.get("causation_id")
        values = (
            seq,
            pack(envelope["id"]),
            self._word(envelope["signal"]),
            self._word(envelope["source"]),
            pack(envelope["correlation_id"]),
            pack(cause) if cause else None,
            envelope["hops"],
            _unix_us(envelope["received_at"]) if not isinstance(row[7], int) else row[7],
            row[8],
            raw,
        )
        try:
            self._new.execute("INSERT INTO signal VALUES (?,?,?,?,?,?,?,?,?,?)", values)
        except apsw.ConstraintError:
            return  # a stale copy under another number
        self._seqs.add(seq)

    def _word(self, text: str) -> int:
        if text not in self._words:
            self._new.execute("INSERT INTO word (word) VALUES (?)", [text])
            self._words[text] = self._new.last_insert_rowid()
        return self._words[text]

    def _deadlines(self) -> None:
        kept = 0
        for row in self._rows("deadline", "seq"):
            if row[0] in self._seqs:
                self._new.execute("INSERT OR IGNORE INTO deadline VALUES (?,?,?,?,?,?,?,?)", row)
                kept += 1
            elif row[2] == "open":
                self._found.deadlines_lost += 1
        self._found.kept["deadline"] = kept

    # -- dead letters --------------------------------------------------------------------------------

    def _dead(self) -> None:
        numbers: set[int] = set()
        for row in self._rows("dead", "number"):
            if isinstance(row[1], int) and isinstance(row[2], str):
                self._new.execute("INSERT OR IGNORE INTO dead VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", row)
                numbers.add(row[0])
        if "dead" in self._found.incomplete or not numbers:
            self._dead_from_file(numbers)
        self._found.kept["dead"] = len(numbers)

    def _dead_from_file(self, numbers: set[int]) -> None:
        """What the table has lost and the file of dead letters still has, line by line."""
        file, offset = self._paths.dead_letters, 0
        for line in file.read_bytes().splitlines(keepends=True) if file.exists() else ():
            letter = _letter(line)
            if letter is not None and letter["dead_letter_id"] not in numbers:
                self._new.execute(
                    "INSERT INTO dead VALUES (?,?,?,?,?,?,?,?,?,'dead',?,?)", _dead_row(letter, offset, line)
                )
                numbers.add(letter["dead_letter_id"])
                self._found.letters_from_file += 1
            offset += len(line)

    # -- the end -------------------------------------------------------------------------------------

    def _say_head(self) -> None:
        """The next number to be given is above every one that anything remembers."""
        last = max(self._seqs, default=0)
        head = self._found.head = max(last, self._highest, self._pruned_to)
        begin = after = self._pruned_to or min(self._seqs, default=1) - 1
        for seq in [*sorted(seq for seq in self._seqs if seq > begin), head + 1]:
            if seq > after + 1:
                self._found.lost.append((after + 1, seq - 1))
            after = seq
        self._new.execute("INSERT INTO meta VALUES ('pruned_to', ?)", [self._pruned_to if last == head else head])


def _alone(first: bytes, count: int) -> bytes:
    """A first page that says: so many pages, no write-ahead log beside them."""
    return b"".join(
        (first[:18], b"\1\1", first[20:28], count.to_bytes(4, "big"), first[32:92], first[24:28], first[96:])
    )


def _can_open(first: bytes) -> bool:
    """Whether a first page has a header and a schema that SQLite takes."""
    if first[:16] != b"SQLite format 3\0" or first[16:18] != PAGE_BYTES.to_bytes(2, "big"):
        return False
    db = apsw.Connection(":memory:")
    try:
        db.deserialize("main", _alone(first, 1))
        names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except apsw.Error:
        return False
    finally:
        db.close()
    return {"meta", "signal", "consumer", "dead"} <= names


def _envelope(raw: Any, seq: int) -> dict[str, Any] | None:
    try:
        found = orjson.loads(raw)
    except (ValueError, TypeError):
        return None
    known = {"seq", "id", "signal", "source", "correlation_id", "hops", "received_at", "facts"}
    return found if isinstance(found, dict) and known <= found.keys() and found["seq"] == seq else None


def _unix_us(text: str) -> int:
    return int(unix_seconds(text) * 1e6)


def _letter(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("dead_letter_id"), int) else None


def _dead_row(letter: dict[str, Any], offset: int, line: bytes) -> tuple[Any, ...]:
    envelope = letter.get("signal") or {}
    consumer, story = letter.get("consumer"), envelope.get("correlation_id")
    return (
        letter["dead_letter_id"],
        _unix_us(letter["timestamp"]),
        letter["reason"],
        letter["daemon"],
        consumer,
        envelope.get("signal"),
        letter["seq"],
        pack(story) if consumer and story else None,
        0,
        offset,
        line.rstrip(b"\n"),
    )
