"""Dead letters: a table in the journal, and one synced JSON line each in `failed_signals.jsonl`."""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from services.bus.records import DeadLetter
from services.bus.store import Store
from signals.envelope import rfc3339

REFUSED_BYTES = 4 << 20
REFUSED_WINDOW_S = 3600.0
REFUSED_LEAST = 1024
RAW_KEPT = 64 * 1024
TEXT_KEPT = 16 * 1024
TEXT_NAMED = 128
ROW_BYTES = 200
LINE_MOST = 1 << 20
PRESSURE = "pressure"
_NUMBER = re.compile(rb'\{"dead_letter_id":(\d+),')


class DeadLetters:
    """Keeps what failed. Lines reach the file after the commit; at start it is completed from the table."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store = store
        self._path = path
        self._waiting: list[tuple[int, str, bytes]] = []
        self._ahead: list[DeadLetter] = []
        self._next = store.last_dead() + 1
        self._offsets: list[tuple[int, int, bool]] = []
        self._refused: dict[tuple[int, str], tuple[float, int]] = {}
        self.not_kept = 0
        self.pruned = 0
        self.table_bytes = store.dead_bytes()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._complete()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _complete(self) -> None:
        """Cut a torn last line off, and add the lines that the table has and the file lacks."""
        missing = self._store.dead_not_in_file()
        _cut_torn_line(self._file)
        self._cut_uncommitted()
        found = _offsets_by_id(self._path, {number for number, _, _ in missing}) if missing else {}
        for number, reason, line in missing:
            if number in found:
                self._offsets.append((number, found[number], reason != PRESSURE))
            else:
                self._waiting.append((number, reason, line))
        self.flush()

    def _cut_uncommitted(self) -> None:
        """Lines written ahead of a commit that never came: their signals still wait."""
        last, size = self._store.last_dead(), os.fstat(self._file).st_size
        number = _NUMBER.match(_last_line(self._file, size))
        if number is None or int(number[1]) <= last:
            return
        offset = 0
        with self._path.open("rb") as lines:
            for line in lines:
                number = _NUMBER.match(line)
                if number is not None and int(number[1]) > last:
                    break
                offset += len(line)
        os.ftruncate(self._file, offset)
        os.fsync(self._file)

    def may_keep_refused(self, uid: int, reason: str, size: int) -> bool:
        """Whether one more refused emit is kept: bounded in bytes an hour for each uid and reason."""
        now = time.monotonic()
        since, used = self._refused.get((uid, reason), (now, 0))
        if now - since > REFUSED_WINDOW_S:
            since, used = now, 0
        used += max(size, REFUSED_LEAST)
        if used > REFUSED_BYTES:
            self.not_kept += 1
            return False
        self._refused[uid, reason] = (since, used)
        return True

    def add(
        self,
        reason: str,
        error: str,
        daemon: str,
        raw: bytes,
        *,
        consumer: str | None = None,
        generation: int = 0,
        attempts: int = 0,
        first_failed_at: str | None = None,
        traceback: str | None = None,
    ) -> DeadLetter:
        """Keep one in this transaction, and in the file after it."""
        envelope = _parsed(raw)
        seq = envelope["seq"] if envelope is not None and consumer else None  # a refused one only claims to have one
        now = time.time()
        number, self._next = self._next, self._next + 1
        line = {
            "dead_letter_id": number,
            "reason": reason,
            "error": error[:TEXT_KEPT],
            "daemon": daemon,
            "attempts": attempts,
            "first_failed_at": first_failed_at or rfc3339(now),
            "timestamp": rfc3339(now),
            "seq": seq,
            "traceback": traceback[-TEXT_KEPT:] if traceback else None,
        }
        if consumer:
            line["consumer"] = consumer
        line |= {"signal": envelope} if envelope is not None else _raw_fields(raw)
        letter = DeadLetter(
            number=number,
            at_us=int(now * 1e6),
            reason=reason,
            daemon=daemon,
            consumer=consumer,
            signal=_text(envelope, "signal"),
            seq=seq,
            correlation_id=_text(envelope, "correlation_id") if consumer else None,
            generation=generation,
            line=orjson.dumps(line),
        )
        if reason == PRESSURE:
            self._ahead.append(letter)
            return letter
        self._store.insert_dead(letter)
        self._waiting.append((number, reason, letter.line))
        self.table_bytes += len(letter.line) + ROW_BYTES
        return letter

    def write_ahead(self) -> None:
        """Before the commit: letters that make room go to the file at once, the table gets only their places."""
        if not self._ahead:
            return
        ahead, self._ahead = self._ahead, []
        offset = os.fstat(self._file).st_size
        _write_all(self._file, b"".join(letter.line + b"\n" for letter in ahead))
        os.fsync(self._file)
        for letter in ahead:
            self._store.insert_dead(letter, offset)
            offset += len(letter.line) + 1
        self.table_bytes += ROW_BYTES * len(ahead)

    def flush(self) -> None:
        """Write and sync the lines of what was committed."""
        if not self._waiting:
            return
        offset = os.fstat(self._file).st_size
        whole = b"".join(line + b"\n" for _, _, line in self._waiting)
        _write_all(self._file, whole)
        os.fsync(self._file)
        for number, reason, line in self._waiting:
            self._offsets.append((number, offset, reason != PRESSURE))
            offset += len(line) + 1
        self._waiting.clear()

    def note_offsets(self) -> None:
        """Say in the table what is in the file by now; goes with the next transaction."""
        for number, offset, keep in self._offsets:
            self._store.put_dead_offset(number, offset, keep_line=keep)
        self._offsets.clear()

    def prune(self, before_us: int, budget_bytes: int) -> None:
        """Forget what is older than a time or over the budget, in the table and in the file."""
        upto = max(self._store.dead_to_prune(before_us) or 0, self._over_budget(budget_bytes))
        if not upto:
            return
        self.pruned += self._store.prune_dead(upto)
        self._store.commit()
        self.table_bytes = self._store.dead_bytes()
        self._rewrite(upto)

    def _over_budget(self, budget_bytes: int) -> int:
        """The highest number to forget, oldest first, for the file to fit its budget; 0 when it does."""
        over = os.fstat(self._file).st_size - budget_bytes
        upto = 0
        with self._path.open("rb") as lines:
            while over > 0 and (line := lines.readline()):
                number = _NUMBER.match(line)
                upto = max(upto, int(number[1]) if number else 0)
                over -= len(line)
        return upto

    def _rewrite(self, upto: int) -> None:
        """The file without the lines numbered to `upto`; their places in the table follow."""
        fresh = self._path.with_suffix(".jsonl.new")
        offset = 0
        with self._path.open("rb") as lines, fresh.open("wb") as kept:
            for line in lines:
                number = _NUMBER.match(line)
                if number is None or int(number[1]) <= upto:
                    continue
                kept.write(line)
                self._offsets.append((int(number[1]), offset, True))
                offset += len(line)
            kept.flush()
            os.fsync(kept.fileno())
        fresh.chmod(0o640)
        fresh.replace(self._path)
        os.close(self._file)
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)

    def line(self, row_line: bytes | None, offset: int | None, number: int) -> dict[str, Any]:
        """The line of a dead letter, from the table or from its place in the file."""
        if row_line is None:
            found = _offsets_by_id(self._path, {number})
            with self._path.open("rb") as lines:
                lines.seek(found.get(number, offset or 0))
                row_line = lines.readline()
        return dict(orjson.loads(row_line))


def _last_line(file: int, size: int) -> bytes:
    tail = os.pread(file, min(size, LINE_MOST), max(0, size - LINE_MOST))
    return tail[tail.rfind(b"\n", 0, -1) + 1 :]


def _cut_torn_line(file: int) -> None:
    """What a crash left of a line without its end; the table still has the whole of it."""
    size = end = os.fstat(file).st_size
    while end and os.pread(file, 1, end - 1) != b"\n":
        block = os.pread(file, min(end, 4096), max(0, end - 4096))
        cut = block.rfind(b"\n")
        end = max(0, end - 4096) + cut + 1 if cut >= 0 else max(0, end - 4096)
    if end != size:
        os.ftruncate(file, end)
        os.fsync(file)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _parsed(raw: bytes) -> dict[str, Any] | None:
    if len(raw) > RAW_KEPT * 2:
        return None
    try:
        found = orjson.loads(raw)
        orjson.dumps([found])  # it reads deeper nesting than it writes
    except (ValueError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def _raw_fields(raw: bytes) -> dict[str, Any]:
    return {"signal": None, "raw_base64": base64.b64encode(raw[:RAW_KEPT]).decode(), "raw_bytes": len(raw)}


def _text(envelope: Mapping[str, Any] | None, name: str) -> str | None:
    value = envelope.get(name) if envelope else None
    return value[:TEXT_NAMED] or None if isinstance(value, str) else None


def _offsets_by_id(path: Path, wanted: set[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    offset = 0
    with path.open("rb") as lines:
        for line in lines:
            number = _NUMBER.match(line)
            if number and int(number[1]) in wanted:
                found[int(number[1])] = offset
            offset += len(line)
    return found
