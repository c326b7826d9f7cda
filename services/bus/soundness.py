"""Whether the journal is whole, as far as that can be told at a start: before anything is written to it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import orjson

from signals.checksums import DamagedError, connect, file_has_checksums
from signals.wal import lost_commits

CHECKED_WHOLE_BYTES = 64 << 20
SMALL_TABLES = ("meta", "word", "consumer", "aside", "state", "deadline")


def check_log(path: Path) -> None:
    """Before SQLite opens the journal, which drops a write-ahead log from its first damaged frame on, in silence.

    The last transaction may be torn: a power cut does that to what was not yet acknowledged.
    """
    log = path.with_name(f"{path.name}-wal")
    commits = lost_commits(log)
    if commits > 1:
        raise DamagedError(path, f"{commits} commits in {log.name} stand behind bytes that have changed")


def check_pages(path: Path) -> None:
    """All of a small journal; of one over 64 MiB, which would take long, all but signals and dead letters."""
    if not path.is_file() or not path.stat().st_size or path.with_name(f"{path.name}-journal").exists():
        return  # a new one, or one that was being made: SQLite takes that back
    if not file_has_checksums(path):
        raise DamagedError(path, "its pages have no checksums")
    if path.stat().st_size <= CHECKED_WHOLE_BYTES:
        asked = ["quick_check(3)"]
    else:
        asked = [f"quick_check({table})" for table in SMALL_TABLES]
    with closing(connect(path)) as db:
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        for pragma in asked:
            said = [str(row[0]) for row in db.execute(f"PRAGMA {pragma}")]
            if said != ["ok"]:
                raise DamagedError(path, "; ".join(said[:3]).replace("\n", ": "))


def check_envelope(path: Path, seq: int, raw: bytes) -> None:
    """What SQLite cannot tell: the bytes of a signal are still a signal's, and of this one."""
    try:
        found = orjson.loads(raw)
    except ValueError as error:
        raise DamagedError(path, f"signal #{seq} cannot be read: {error}") from error
    if not isinstance(found, dict) or found.get("seq") != seq:
        raise DamagedError(path, f"signal #{seq} is not what was written")
