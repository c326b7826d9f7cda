"""Which story belongs to which file: a line for each claim, in small files named by the time of the claims.

A file of its own for each claim would cost more than all the rest of its way: making one is the slowest thing a
file system is asked for here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from services.intent_router.folder import Claim, State, as_claim
from services.intent_router.logic import root_key
from signals.files import sync
from signals.ids import is_id


class Note(NamedTuple):
    """A claim and the state that its file had when it was read."""

    claim: Claim
    read: State


class Notes:
    """The notes in a folder. `root_id` gives the id of the signal that the router emits under a key: the story's."""

    def __init__(self, folder: Path, root_id: Callable[[str], str]) -> None:
        self.folder = folder
        self._root_id = root_id

    def write(self, notes: Iterable[Note]) -> None:
        """Note these before their stories begin; on disk when it returns. What is noted again changes nothing."""
        lines = sorted((self._root_id(root_key(note.claim.claim_id)), note) for note in notes)
        for window, group in groupby(lines, lambda line: _window(line[0])):
            self._append(window, "".join(_line(story, note) for story, note in group))

    def find(self, story: str | None) -> Note | None:
        """The first note of a story; None for one that no file began."""
        if not is_id(story):
            return None
        try:
            text = (self.folder / _window(str(story))).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return None
        at = text.find(_start(str(story)))
        while at >= 0:
            if note := _read(text[at : text.find("\n", at) + 1]):
                return note
            at = text.find(_start(str(story)), at + 1)
        return None

    def prune(self, before_s: float) -> int:
        """Remove the files last written before then (Unix seconds); says how many."""
        gone = 0
        with suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if path.lstat().st_mtime < before_s:
                    path.unlink(missing_ok=True)
                    gone += 1
        return gone

    def _append(self, window: str, lines: str) -> None:
        fd = self._open(window)
        try:
            is_new = not os.fstat(fd).st_size
            with open(fd, "wb", closefd=False) as file:
                file.write(b"\n" + lines.encode("ascii"))  # what a full disk cut off ends here
            os.fsync(fd)
        finally:
            os.close(fd)
        if is_new:
            sync(self.folder)

    def _open(self, window: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(self.folder / window, flags, 0o640)
        except FileNotFoundError:
            self.folder.mkdir(parents=True, exist_ok=True)
            return os.open(self.folder / window, flags, 0o640)


def _window(story: str) -> str:
    """The file of a story's note: the first 40 bits of its id, which are a quarter of a second of its claim's time."""
    return story[:8] + story[9:11]


def _start(story: str) -> str:
    return f'["{story}", '


def _line(story: str, note: Note) -> str:
    return json.dumps([story, note.read.size, note.read.mtime_ns, note.claim.name]) + "\n"


def _read(line: str) -> Note | None:
    """The note of a line, None for the rest of one that was never finished."""
    try:
        _, size, mtime_ns, name = json.loads(line)
    except ValueError:
        return None
    claim = as_claim(name)
    return Note(claim, State(size, mtime_ns)) if claim else None
