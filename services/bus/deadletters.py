"""Dead letters: a table in the journal, and one synced JSON line each in `failed_signals.jsonl`."""

from __future__ import annotations

import base64
import time
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from services.bus.deadfile import LetterFile
from services.bus.records import DeadLetter
from services.bus.store import Store
from signals.envelope import rfc3339
from signals.errors import UsageError

REFUSED_BYTES = 4 << 20
REFUSED_WINDOW_S = 3600.0
REFUSED_LEAST = 1024
REFUSED_REMEMBERED = 1000
"""So many are recognised when they are sent again, as after a restart of the bus, before it could answer."""
RAW_KEPT = 64 * 1024
TEXT_KEPT = 16 * 1024
TEXT_NAMED = 128
ROW_BYTES = 200
PRESSURE = "pressure"


class DeadLetters:
    """Keeps what failed. Lines reach the file after the commit; at start it is completed from the table."""

    def __init__(self, store: Store, path: Path) -> None:
        self._table = store.dead
        self._waiting: list[tuple[int, str, bytes]] = []
        self._ahead: list[DeadLetter] = []
        self._next = store.dead.last() + 1
        self._offsets: list[tuple[int, int, bool]] = []
        self._refused: dict[tuple[int, str], tuple[float, int]] = {}
        self._refused_before: OrderedDict[bytes, int] = OrderedDict()
        self.not_kept = 0
        self.pruned = 0
        self.table_bytes = store.dead.bytes()
        self._prune_to = 0
        self.set_aside: Path | None = None
        self._file = LetterFile(path)
        self._complete()
        for number, line in self._table.last_refused(REFUSED_REMEMBERED):
            self._remember(_refusal(orjson.loads(line)), number)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _complete(self) -> None:
        """Bring the file in line with the table: cut off what was not committed or is pruned, add what it lacks."""
        table, file = self._table, self._file
        last, missing = table.last(), table.not_in_file()
        if not last and file.size():
            self.set_aside = file.set_aside()  # a new journal counts from 1: the letters of the old one stay readable
        file.cut_unsure(table.place(), last)
        first = table.first() or last + 1
        if (file.first_number() or first) < first:
            self._offsets += [(number, offset, True) for number, offset in file.drop(first - 1)]
        found = file.offsets({number for number, _, _ in missing}) if missing else {}
        for number, reason, line in missing:
            if number in found:
                self._offsets.append((number, found[number], reason != PRESSURE))
            else:
                self._waiting.append((number, reason, line))
        self.flush()

    def refuse(self, reason: str, error: str, sender: str, raw: bytes, uid: int) -> DeadLetter | None:
        """Keep a refused emit; None when it waits among the dead letters already, or the bounds are reached."""
        refusal = _refusal({"reason": reason, "daemon": sender, "peer_uid": uid, "signal": _parsed(raw)})
        before = self._refused_before.get(refusal or b"")
        if (before is not None and self._table.waits(before)) or not self._may_keep_refused(uid, reason, len(raw)):
            return None
        letter = self.add(reason, error, sender, raw, peer_uid=uid)
        self._remember(refusal, letter.number)
        return letter

    def _remember(self, refusal: bytes | None, number: int) -> None:
        if refusal is not None:
            self._refused_before[refusal] = number
        if len(self._refused_before) > REFUSED_REMEMBERED:
            self._refused_before.popitem(last=False)

    def _may_keep_refused(self, uid: int, reason: str, size: int) -> bool:
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
        peer_uid: int | None = None,
    ) -> DeadLetter:
        """Keep one in this transaction, and in the file after it. `peer_uid` is who sent what was refused."""
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
        if peer_uid is not None:
            line["peer_uid"] = peer_uid
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
        self._table.insert(letter)
        self._waiting.append((number, reason, letter.line))
        self.table_bytes += len(letter.line) + ROW_BYTES
        return letter

    def write_ahead(self) -> None:
        """Before the commit: letters that make room go to the file at once, the table gets only their places."""
        ahead, self._ahead = self._ahead, []
        if ahead:
            for letter, offset in zip(ahead, self._file.append([letter.line for letter in ahead]), strict=True):
                self._table.insert(letter, offset)
            self.table_bytes += ROW_BYTES * len(ahead)

    def flush(self) -> None:
        """After the commit: the lines of what was committed go to the file, those of what was pruned go out of it."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            offsets = self._file.append([line for _, _, line in waiting])
            for (number, reason, _), offset in zip(waiting, offsets, strict=True):
                self._offsets.append((number, offset, reason != PRESSURE))
        upto, self._prune_to = self._prune_to, 0
        if upto:
            self._offsets += [(number, offset, True) for number, offset in self._file.drop(upto)]

    def note_offsets(self) -> None:
        """Say in the table what is in the file by now; goes with the next transaction."""
        for number, offset, keep in self._offsets:
            self._table.put_offset(number, offset, keep_line=keep)
        self._offsets.clear()

    def file_bytes(self) -> int:
        """The size of the file."""
        return self._file.size()

    def prune(self, before_us: int, budget_bytes: int) -> None:
        """Forget what is older than a time or over the budget: the rows in this transaction, the lines after it."""
        upto = max(self._table.to_prune(before_us) or 0, self._over_budget(budget_bytes))
        if upto:
            self.pruned += self._table.prune(upto)
            self.table_bytes = self._table.bytes()
            self._prune_to = upto

    def _over_budget(self, budget_bytes: int) -> int:
        """The highest number to forget, oldest first, for the file to fit its budget; 0 when it does."""
        over, upto = self.file_bytes() - budget_bytes, 0
        for number, _, line in self._file.lines() if over > 0 else ():
            if over <= 0:
                break
            upto = max(upto, number or 0)
            over -= len(line)
        return upto

    def line(self, row_line: bytes | None, offset: int | None, number: int) -> dict[str, Any]:
        """The line of a dead letter, from the table or from the file. Raises `UsageError` when neither has it."""
        found = row_line or self._file.line_at(offset or 0, number)
        if not found:
            raise UsageError(f"The line of the dead letter {number} is not in {self._file.path} any more.")
        return dict(orjson.loads(found))


def _refusal(line: Mapping[str, Any]) -> bytes | None:
    """The same whenever one signal of one sender is refused for one reason; None for what has no id to know it by."""
    signal = line.get("signal")
    if _text(signal, "id") is None:
        return None
    what = [line["reason"], line["daemon"], line.get("peer_uid"), signal]
    return blake2b(orjson.dumps(what), digest_size=16).digest()


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
