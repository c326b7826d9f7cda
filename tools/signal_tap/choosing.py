"""From what was typed to a selection of signals and a place to begin."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from signals.errors import UsageError
from signals.journal import Journal
from signals.lookup import resolve
from signals.masking import Masker
from tools.signal_tap.conditions import condition_of, pattern_of
from tools.signal_tap.options import Choice
from tools.signal_tap.reading import first_seq, last
from tools.signal_tap.selection import Selection, Start, names_of, start_of
from tools.signal_tap.times import moment_s


@dataclass(frozen=True, slots=True)
class Chosen:
    """A checked choice. `until_us` (Unix µs) is the last time of arrival that is wanted."""

    selection: Selection
    start: Start
    until_us: int | None

    @property
    def bounded(self) -> bool:
        """Whether it was said where to begin or end."""
        return bool(self.start) or self.until_us is not None


def chosen(choice: Choice, masker: Masker, journal: Path | None = None) -> Chosen:
    """Check a choice; a story's id is looked up in the journal. Raises `UsageError`, `NotFoundError`, `ConfigError`."""
    now = time.time()
    start = start_of(choice.start, choice.since, now)
    until_us = None if choice.until is None else int(moment_s(choice.until, now) * 1_000_000)
    if start.since_us is not None and until_us is not None and until_us < start.since_us:
        raise UsageError(f"--until {choice.until} is before --since {choice.since}.")
    selection = Selection(
        names=names_of(choice.names),
        exclude=names_of(choice.exclude),
        sources=choice.sources,
        correlation=_story(choice.correlation, journal),
        grep=pattern_of(choice.grep) if choice.grep is not None else None,
        where=tuple(condition_of(text) for text in choice.where),
        hide=masker.envelope,
    )
    return Chosen(selection, start, until_us)


def _story(key: str | None, path: Path | None) -> str | None:
    if key is None or path is None:
        return key
    with Journal(path) as journal:
        return resolve(journal, key)[0]


def position(journal: Journal, found: Chosen, back: int, head: int) -> int:
    """The sequence number after which to begin; where nothing was said, `back` signals before the end."""
    if found.start:
        return first_seq(journal, found.selection, found.start, head) - 1
    rows = last(journal, found.selection, back, head) if back else []
    return rows[0][0] - 1 if rows else head


class CursorFile:
    """Where a run ended: a sequence number and the id of the signal there, which tells journals apart."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, journal: Journal) -> int | None:
        """The sequence number to go on after; None at the first run. Raises `UsageError`."""
        try:
            said = self._path.read_text(encoding="utf-8").split()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"Cannot read the cursor file {self._path}: {error}") from error
        if not said:
            return None
        if len(said) != 2 or not said[0].isdecimal() or len(said[0]) > 18:
            raise UsageError(f"{self._path} is no cursor file of signal-tap. Choose another file, or remove it.")
        seq = int(said[0])
        if not is_of(journal, seq, said[1]):
            raise UsageError(f"{self._path} belongs to another journal than {journal.path}. Remove it to begin anew.")
        return seq

    def write(self, journal: Journal, seq: int) -> None:
        """Note where we are; the file is whole at any instant. Raises `UsageError`."""
        fresh = self._path.with_name(f".{self._path.name}.new")
        try:
            fresh.write_text(f"{seq} {_id_at(journal, seq)}\n", encoding="utf-8")
            fresh.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise UsageError(f"Cannot write the cursor file {self._path}: {error.strerror}.") from error


def is_of(journal: Journal, seq: int, signal_id: str) -> bool:
    """Whether the signal of this number and id ("-": not known) may be of this journal; a pruned one may."""
    return seq <= journal.head() and (signal_id in (_id_at(journal, seq), "-") or _id_at(journal, seq) == "-")


def _id_at(journal: Journal, seq: int) -> str:
    found = journal.get(seq)
    return str(orjson.loads(found[0])["id"]) if found else "-"
