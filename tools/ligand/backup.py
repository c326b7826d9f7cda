"""Copying the journal while the bus writes it, and putting a copy back.

A backup is a folder: `journal.db` (one file, no WAL), the `failed_signals.jsonl` that belongs to it, and
`backup.json`, which says what it holds.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import orjson

from services.runtime import restoring
from services.runtime.restoring import JOURNAL, LETTERS
from signals import locking
from signals.checksums import connect
from signals.envelope import rfc3339
from signals.errors import ConfigError, LigandError, UsageError
from signals.files import sync
from signals.journal import SCHEMA_VERSION, Journal
from signals.paths import Paths
from tools.progress import progress

ABOUT, COPY = "backup.json", JOURNAL
PAGES = 2000
_NUMBER = re.compile(rb'\{"dead_letter_id":(\d+),')


class BusRunsError(LigandError):
    """The bus runs here."""

    code = "bus_runs"


class UnsoundError(LigandError):
    """The file is not what was written."""

    code = "damaged"


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds. `at` is RFC 3339."""

    folder: Path
    at: str
    head: int
    signals: int
    dead_letters: int
    bytes: int

    def as_json(self) -> dict[str, Any]:
        """As in `backup.json`, with the folder."""
        return {"folder": str(self.folder), "at": self.at, "head": self.head, "signals": self.signals} | {
            "dead_letters": self.dead_letters,
            "bytes": self.bytes,
        }


def backup(paths: Paths, folder: Path) -> Backup:
    """Copy journal and dead letters into a new folder, whole as of one instant, whether the bus runs or not.

    Raises `UsageError` when the folder is there already, `ConfigError` when there is no journal or no room.
    """
    if folder.exists():
        raise UsageError(f"{folder} is there already. Name a folder that is not, or remove it.")
    with Journal(paths.journal):
        pass  # says in words when there is none, or one of another version
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(mode=0o700, parents=True)
        _copy(paths.journal, beside / COPY)
        check_integrity(beside / COPY)
        last = _last_letter(beside / COPY)
        _copy_letters(paths.dead_letters, beside / LETTERS, last)
        about = _about(beside)
        (beside / ABOUT).write_bytes(orjson.dumps(about, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        _sync(beside)
        beside.rename(folder)
        sync(folder.parent)
    except OSError as error:
        raise ConfigError(f"Cannot write the backup {folder}: {error.strerror}. Choose another place.") from error
    except apsw.FullError as error:
        raise ConfigError(f"There is no room for the backup at {folder}. Choose another place.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return read(folder)


def _copy(source: Path, target: Path) -> None:
    """SQLite's online backup in one read transaction: what the bus commits meanwhile does not restart it."""
    with (
        closing(connect(source)) as reading,
        closing(connect(target, writable=True)) as writing,
    ):
        reading.set_busy_timeout(10_000)
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_master").fetchall()
        with writing.backup("main", reading, "main") as copying, progress("copying the journal", 1.0) as advance:
            while not copying.done:
                copying.step(PAGES)
                advance(1.0 - copying.remaining / max(copying.page_count, 1))
        reading.execute("COMMIT")
        writing.pragma("journal_mode", "delete")
    target.chmod(0o600)


def _last_letter(copy: Path) -> int:
    with closing(connect(copy)) as db:
        found = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'dead'").fetchone()
    return int(found[0]) if found else 0


def _copy_letters(source: Path, target: Path, last: int) -> None:
    """The whole lines up to number `last`: later ones belong to no row of the copy, and their numbers come again."""
    with target.open("xb") as out:
        target.chmod(0o600)
        if not source.exists():
            return
        with source.open("rb") as lines:
            for line in lines:
                number = _NUMBER.match(line)
                if line.endswith(b"\n") and (number is None or int(number[1]) <= last):
                    out.write(line)


def _about(folder: Path) -> dict[str, Any]:
    copy = folder / COPY
    with Journal(copy) as journal:
        counts = sum(journal.names().values())
        dead = sum(1 for _ in journal.dead())
        head = journal.head()
    return {
        "at": rfc3339(time.time()),
        "schema_version": SCHEMA_VERSION,
        "head": head,
        "signals": counts,
        "dead_letters": dead,
        "bytes": copy.stat().st_size,
        "sha256": {name: _digest(folder / name) for name in (COPY, LETTERS)},
    }


def read(folder: Path) -> Backup:
    """What `backup.json` says. Raises `UsageError` for a folder that is no backup."""
    about = _about_of(folder)
    try:
        return Backup(folder, *(about[key] for key in ("at", "head", "signals", "dead_letters", "bytes")))
    except KeyError as error:
        raise UsageError(f"{folder / ABOUT} lacks {error}; it was not written by `ligand journal backup`.") from error


def _about_of(folder: Path) -> dict[str, Any]:
    try:
        found = orjson.loads((folder / ABOUT).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{folder} is no backup: it has no {ABOUT}. Give the folder that backup printed.") from error
    except (OSError, orjson.JSONDecodeError) as error:
        raise UnsoundError(f"{folder / ABOUT} cannot be read: {error}. Take an older backup.") from error
    return found if isinstance(found, dict) else {}


def verify(folder: Path) -> Backup:
    """The backup, after its bytes, its SQLite file and its version were found right. Raises `UnsoundError`."""
    found, about = read(folder), _about_of(folder)
    if about.get("schema_version") != SCHEMA_VERSION:
        raise ConfigError(f"{folder} was made by another version of Ligand; restore it with that one.")
    for name, digest in about.get("sha256", {}).items():
        if not (folder / name).is_file() or _digest(folder / name) != digest:
            raise UnsoundError(f"{folder / name} is not what was backed up. Take an older backup.")
    check_integrity(folder / COPY)
    return found


def restore(paths: Paths, folder: Path) -> tuple[Backup, Path | None]:
    """Put a backup in the journal's place; where the present one was moved, if there was one.

    A kill at any instant leaves the present journal or the backup, and the next start of the bus, or this once more,
    finishes it. Raises `BusRunsError` while a bus holds the lock, `UnsoundError` before anything was touched.
    """
    with bus_held_off(paths):
        found = verify(folder)
        state = paths.journal.parent
        state.mkdir(mode=0o750, parents=True, exist_ok=True)
        restoring.finish(state)
        owner = (paths.journal if paths.journal.exists() else state).stat()
        there = paths.journal.exists() or paths.dead_letters.exists()
        try:
            ready = restoring.prepare(state)
            for name in (COPY, LETTERS):
                _copy_ready(folder / name, ready / name, owner)
            restoring.decide(state, f"before-restore-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}", owner)
        except OSError as error:
            raise ConfigError(f"Cannot restore into {state}: {error.strerror}. Nothing was changed.") from error
        kept = restoring.finish(state)
        if kept is not None and not there:
            kept.rmdir()
    return found, kept if there else None


def _copy_ready(source: Path, target: Path, owner: os.stat_result) -> None:
    shutil.copyfile(source, target)
    if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(target, owner.st_uid, owner.st_gid)
    target.chmod(0o640)


@contextmanager
def bus_held_off(paths: Paths) -> Iterator[None]:
    """Hold the bus's own lock, so that none starts meanwhile. Raises `BusRunsError`."""
    try:
        lock = locking.hold(paths, "bus.lock")
    except locking.HeldError as error:
        raise BusRunsError(
            f"The bus ({error.holder or 'another process'}) runs on {paths.journal}. Stop it first: `ligand down`, or "
            "`systemctl stop ligand.target`."
        ) from error
    with lock:
        try:
            yield
        finally:
            paths.leave_run("bus.lock")


def check_integrity(path: Path, *, quick: bool = False) -> None:
    """Raise `UnsoundError`, with SQLite's words, when the file is damaged."""
    pragma = "quick_check" if quick else "integrity_check"
    try:
        with closing(connect(path)) as db:
            db.set_busy_timeout(10_000)
            said = [str(row[0]) for row in db.execute(f"PRAGMA {pragma}(5)")]
    except apsw.Error as error:
        raise UnsoundError(f"{path} is damaged: {error}.") from error
    if said != ["ok"]:
        raise UnsoundError(f"{path} is damaged: {'; '.join(said)}.")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    for path in (*folder.iterdir(), folder):
        sync(path)
