"""Drops an example and watches its story to the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import inotify_simple
import orjson

from signals.catalogue import Catalogue
from tools.ligand.dropping import drop
from tools.signal_tap.following import Tail

ANSWER = ".answer.json"
ERROR = ".error"
Envelope = dict[str, Any]


@dataclass(slots=True)
class Story:
    """What came of one dropped file. `envelopes` are its signals in order; `beside` the answer or .error file."""

    file: str
    envelopes: list[Envelope] = field(default_factory=list)
    end: Envelope | None = None
    kept: Path | None = None
    beside: Path | None = None

    @property
    def id(self) -> str | None:
        """The story's correlation id, once it began."""
        return self.envelopes[0]["correlation_id"] if self.envelopes else None


class Watcher:
    """Shows each signal as it comes, and gathers the story of the file that was dropped last."""

    def __init__(self, tail: Tail, catalogue: Catalogue, show: Callable[[bytes], None], deadline: float) -> None:
        """`deadline`, on the monotonic clock, is when stories that have not ended are given up."""
        self._tail = tail
        self._deadline = deadline
        self._catalogue = catalogue
        self._show = show

    def tell(self, file: Path, intents: Path) -> Story:
        """Drop a copy of `file`, and wait for the end of its story and the note beside it, or for the time-out."""
        story = Story(file.name)
        with inotify_simple.INotify() as changes:
            for folder in ("done", "rejected"):
                changes.add_watch(intents / folder, inotify_simple.flags.MOVED_TO)
            drop(intents, file.name, file.read_bytes())
            while story.end is None and time.monotonic() < self._deadline:
                self.step(story)
                if story.end is None:
                    self._tail.wait(0.5)
            while story.end and not _find_files(story, intents) and time.monotonic() < self._deadline:
                changes.read(timeout=500)
        self.step(story)
        return story

    def step(self, story: Story) -> None:
        """Show what came, and note what belongs to the story."""
        for _, raw in self._tail.rows():
            self._show(raw)
            envelope = orjson.loads(raw)
            begins = story.id is None and envelope["facts"].get("file") == story.file
            if begins or (story.id is not None and envelope["correlation_id"] == story.id):
                story.envelopes.append(envelope)
                if self._catalogue[envelope["signal"]].terminal:
                    story.end = envelope


def _find_files(story: Story, intents: Path) -> bool:
    """Look for the file where it ended and the note beside it; whether both are there."""
    for folder, suffix in (("done", ANSWER), ("rejected", ERROR)):
        for path in (intents / folder).glob(f"*.{story.file}"):
            beside = path.with_name(path.name + suffix)
            if beside.exists():
                story.kept, story.beside = path, beside
    return story.beside is not None
