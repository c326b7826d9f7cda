"""Run when failures have been noted: emit Q_DAEMON_FAILED for each, in the order in which they happened.

`python -m tools.ligand.tell_failure STATE RUN`, the folders of `note_failure`. A note goes away once the bus has
answered. Exit 1 while the bus does not: systemd starts it again, and the notes wait.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from signals.emitter import Emitter
from signals.errors import BusUnreachableError, LigandError, PressureError, QuotaError
from signals.paths import Paths
from tools.ligand.note_failure import FOLDER, Note

WAIT_S = 20.0
LATER = (BusUnreachableError, QuotaError, PressureError)
"""Refusals that pass; any other says what is wrong with the signal, which the bus keeps as a dead letter."""


def waiting(folders: list[Path]) -> list[tuple[Path, Note]]:
    """The notes, oldest first; a file that is none is said and set aside."""
    return sorted(_read(folders), key=lambda found: found[1].id)


def _read(folders: list[Path]) -> Iterator[tuple[Path, Note]]:
    for file in (file for folder in folders for file in folder.glob("[!.]*")):
        try:
            yield file, _note(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            if os.path.lexists(file):  # else another run has told it
                _put_aside(file, error)


def _note(found: dict[str, Any]) -> Note:
    """Raises `TypeError` or `ValueError` for what is none, to the last field: the others are sorted with it."""
    note = Note(**found)
    texts = (note.id, note.timestamp, note.unit, note.invocation, note.result, note.status)
    if not all(isinstance(text, str) for text in texts) or not isinstance(note.restarts, int | None):
        raise TypeError("a field of it is of another kind")
    uuid.UUID(note.id)
    datetime.fromisoformat(note.timestamp)
    return note


def _put_aside(file: Path, error: Exception) -> None:
    """Out of the way and under a name that says so: what stays would start this program again and again."""
    aside = file.with_name(f".{file.name}")
    print(f"{file} is no note of a failure ({error}); it is put aside as {aside.name}", file=sys.stderr)
    try:
        file.replace(aside)
    except OSError as why:
        print(f"{file} cannot be put aside ({why}); remove it", file=sys.stderr)


def tell(emitter: Emitter, file: Path, note: Note) -> None:
    """Emit one, then forget it. Raises a `LigandError` of `LATER`; the note stays then."""
    signal = emitter.signal("Q_DAEMON_FAILED", note.facts(), id=note.id, timestamp=note.timestamp)
    try:
        emitter.emit(signal)
    except LATER:
        raise
    except LigandError as error:
        print(f"{note.unit} has failed ({note.result}), and the bus refuses to hear it: {error}", file=sys.stderr)
    file.unlink(missing_ok=True)


def main() -> None:
    """Tell of everything that waits, and of what comes meanwhile."""
    folders = [Path(given) / FOLDER for given in sys.argv[1:]]
    try:
        with Emitter(Paths.resolve().bus_socket, timeout_s=WAIT_S) as emitter:
            while found := waiting(folders):
                for file, note in found:
                    tell(emitter, file, note)
    except LigandError as error:
        print(f"failures wait to be told: {error.message}", file=sys.stderr)
        sys.exit(os.EX_TEMPFAIL)


if __name__ == "__main__":
    main()
