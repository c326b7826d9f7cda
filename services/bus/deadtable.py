"""The table of dead letters: what is true of them; their file is brought in line with it."""

from __future__ import annotations

from typing import Any

from services.bus.records import DeadLetter
from services.bus.transaction import Transaction
from signals.ids import pack

NUMBER_END = 1 << 62


class DeadTable:
    """One row a letter, with its line or its place in the file."""

    def __init__(self, rows: Transaction) -> None:
        self._rows = rows

    def last(self) -> int:
        """The highest number a dead letter ever had."""
        found = self._rows.all("SELECT seq FROM sqlite_sequence WHERE name = 'dead'")
        return int(found[0][0]) if found else 0

    def insert(self, letter: DeadLetter, offset: int | None = None) -> None:
        """Keep a dead letter: whole, or, when it is in the file already, only its place there."""
        self._rows.write(
            "INSERT INTO dead VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'dead', ?, ?)",
            [
                letter.number,
                letter.at_us,
                letter.reason,
                letter.daemon,
                letter.consumer,
                letter.signal,
                letter.seq,
                pack(letter.correlation_id) if letter.correlation_id else None,
                letter.generation,
                offset,
                letter.line if offset is None else None,
            ],
        )

    def first(self) -> int | None:
        """The lowest number of a dead letter that is kept."""
        found: int | None = self._rows.all("SELECT min(number) FROM dead")[0][0]
        return found

    def place(self) -> tuple[int, int] | None:
        """(number, offset) of the last dead letter that is known to be in the file, whole and synced."""
        found = self._rows.all(
            "SELECT number, file_offset FROM dead WHERE file_offset IS NOT NULL ORDER BY file_offset DESC LIMIT 1"
        )
        return found[0] if found else None

    def not_in_file(self) -> list[tuple[int, str, bytes]]:
        """(number, reason, line) of the dead letters that the file may lack."""
        return self._rows.all("SELECT number, reason, line FROM dead WHERE file_offset IS NULL ORDER BY number")

    def put_offset(self, number: int, offset: int, *, keep_line: bool) -> None:
        """Note where in the file a dead letter stands; its line is kept in the table too, or only there."""
        line = "line" if keep_line else "NULL"
        self._rows.write(f"UPDATE dead SET file_offset = ?, line = {line} WHERE number = ?", [offset, number])

    def get(self, number: int) -> tuple[Any, ...] | None:
        """(number, reason, consumer, seq, generation, status, file_offset, line) of a dead letter."""
        found = self._rows.all(
            "SELECT number, reason, consumer, seq, generation, status, file_offset, line FROM dead WHERE number = ?",
            [number],
        )
        return found[0] if found else None

    def last_refused(self, among: int) -> list[tuple[int, bytes]]:
        """(number, line) of the refused emits among the last so many dead letters, in order."""
        return self._rows.all(
            """SELECT number, line FROM dead
               WHERE number > ? AND consumer IS NULL AND line IS NOT NULL ORDER BY number""",
            [self.last() - among],
        )

    def waits(self, number: int) -> bool:
        """Whether a dead letter is kept and nobody has decided on it."""
        found = self.get(number)
        return found is not None and found[5] == "dead"

    def mark(self, number: int, status: str) -> None:
        """Say what became of a dead letter: replayed, dropped."""
        self._rows.write("UPDATE dead SET status = ? WHERE number = ?", [status, number])

    def counts(self) -> dict[str, int]:
        """How many dead letters wait, by reason."""
        return dict(self._rows.all("SELECT reason, count(*) FROM dead WHERE status = 'dead' GROUP BY reason"))

    def bytes(self) -> int:
        """Bytes that dead letters take in the table."""
        return int(self._rows.all("SELECT coalesce(sum(coalesce(length(line), 0) + 200), 0) FROM dead")[0][0])

    def to_prune(self, before_us: int) -> int | None:
        """The highest number to which all dead letters are from before a time; None when the first is not."""
        younger = self._rows.all("SELECT number FROM dead WHERE at_us >= ? ORDER BY number LIMIT 1", [before_us])
        upto = younger[0][0] if younger else NUMBER_END
        found: int | None = self._rows.all("SELECT max(number) FROM dead WHERE number < ?", [upto])[0][0]
        return found

    def prune(self, upto: int) -> int:
        """Forget the dead letters numbered to `upto`; how many that were."""
        return self._rows.write("DELETE FROM dead WHERE number <= ?", [upto])
