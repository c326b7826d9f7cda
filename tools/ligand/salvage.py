"""Making a new journal of what a damaged one still holds.

The damaged file and its write-ahead log are put together in a copy, page by page; from there row after row goes into
a new journal. The damaged files are kept beside it, as they were.
"""

from __future__ import annotations

import mmap
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import apsw
import orjson

from services.runtime import restoring
from signals.checksums import connect, file_has_checksums
from signals.envelope import unix_seconds
from signals.errors import UsageError
from signals.ids import pack
from signals.journal import SCHEMA, SCHEMA_VERSION
from signals.paths import Paths
from signals.wal import lost_commits
from tools.ligand.assembling import PAGE_BYTES, assemble
from tools.ligand.backup import UnsoundError, bus_held_off, check_integrity
from tools.ligand.leaves import Pages
from tools.ligand.salvaged import Salvaged

PAGE = 200
SMALL = {"consumer": ("consumer",), "state": ("daemon", "key"), "aside": ("consumer", "seq"), "meta": ("key",)}
SIGNAL_COLUMNS, DEAD_COLUMNS = 10, 12
INDEXES = ("signal_id", "signal_correlation", "signal_name")
KEPT_META = ("schema_version", "pruned_to")


def is_whole(path: Path) -> bool:
    """Whether there is nothing to salvage."""
    if not file_has_checksums(path) or lost_commits(path.with_name(f"{path.name}-wal")) > 1:
        return False
    try:
        check_integrity(path)
    except UnsoundError:
        return False
    return True


def salvage(paths: Paths, *, dry_run: bool) -> Salvaged:
    """Put a new journal of what can be read in the place of a damaged one, which is kept aside.

    Raises `BusRunsError` while a bus runs, `UsageError` when there is no journal or nothing is wrong with it,
    `UnsoundError` when nothing at all can be read.
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


class _Salvage:
    def __init__(self, paths: Paths, work: Path) -> None:
        self._paths = paths
        self._found = Salvaged()
        fresh = work / "journal.db"
        self._new = connect(fresh, writable=True)
        self._new.pragma("auto_vacuum", 2)
        self._new.execute(
            f"BEGIN IMMEDIATE;{SCHEMA}INSERT INTO meta VALUES ('schema_version', {SCHEMA_VERSION});COMMIT"
        )
        self._damaged = work / "damaged.db"
        self._found.log_frames_damaged = assemble(paths.journal, self._damaged, fresh.read_bytes())
        with self._damaged.open("rb") as whole:
            self._pages = Pages(mmap.mmap(whole.fileno(), 0, prot=mmap.PROT_READ), PAGE_BYTES)
        self._words: dict[str, int] = {}
        self._seqs: set[int] = set()
        self._highest = 0
        self._pruned_to = 0

    def run(self) -> Salvaged:
        """Copy all that can be read, check it, and say what that is."""
        with (
            closing(self._new),
            closing(connect(self._damaged)) as self._old,
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
        known = [self._highest, *self._indexed["max"][:1]]
        with suppress(apsw.Error):  # another way may be open
            known += [int(row[0] or 0) for row in self._old.execute(f"SELECT max({key}) FROM {table}")]
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
        head = self._found.head = max(last, self._highest, self._pruned_to, _agreed(self._indexed["max"]))
        begin = after = self._before_first()
        for seq in [*sorted(seq for seq in self._seqs if seq > begin), head + 1]:
            if seq > after + 1:
                self._found.lost.append((after + 1, seq - 1))
            after = seq
        self._new.execute("INSERT INTO meta VALUES ('pruned_to', ?)", [self._pruned_to if last == head else head])

    def _before_first(self) -> int:
        """Up to which number signals were pruned, or never given: none of them is lost."""
        if self._pruned_to or "meta" not in self._found.incomplete:
            return self._pruned_to
        oldest = [seq for seq in (min(self._seqs, default=0), _agreed(self._indexed["min"])) if seq]
        return min(oldest, default=1) - 1

    @cached_property
    def _indexed(self) -> dict[str, list[int]]:
        """The lowest and the highest numbers that the indexes of signals know, of each that can be read.

        An index says which signals there were when the leaf that held them is gone.
        """
        said: dict[str, list[int]] = {"min": [], "max": []}
        for index in INDEXES:
            with suppress(apsw.Error):  # the others may be whole
                for which in said:
                    found = self._old.execute(f"SELECT {which}(seq) FROM signal INDEXED BY {index}")
                    said[which] += [int(row[0] or 0) for row in found]
        return said


def _agreed(said: list[int]) -> int:
    """The middle of what indexes say, since a damaged one may say anything; 0 where fewer than two say anything."""
    return statistics.median_low(said) if len(said) > 1 else 0


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
