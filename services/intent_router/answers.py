"""The answer file: what became of an intent, written beside its file in `done/` when its story ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from services.intent_router.folder import Claim, Folder, write_whole
from services.intent_router.notes import Note, Notes

STORIES = ".stories"
CHANGED = "The file was changed after it was read; this answers what stood in it then. Drop it again to ask the rest."
SUFFIX = ".answer.json"
ENDINGS = {
    "FAILED": "failed",
    "TIMEOUT": "timed out",
    "SKIPPED": "skipped",
    "REJECTED": "rejected",
    "INTEGRATED": "integrated",
    "COMPLETE": "complete",
}
TOLD = ("capability_key", "reason", "detail")
SUMMARISED = ("summary", "detail", "reason", "capability_key", "module_name", "module_path", "question")


class Ending(Protocol):
    """What is read of a signal."""

    @property
    def signal(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def timestamp(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...
    @property
    def correlation_id(self) -> str | None: ...


class Answers:
    """Writes answers beside the files whose stories end. `root_id` gives the id of the signal that the router emits
    under a key."""

    def __init__(self, folder: Folder, root_id: Callable[[str], str]) -> None:
        self.folder = folder
        self.stories = folder.done / STORIES
        self.notes = Notes(self.stories, root_id)

    def is_changed(self, note: Note) -> bool:
        """Whether somebody wrote to the file after it was read; False when it is gone."""
        now = self.folder.state(note.claim)
        return now is not None and now != note.read

    def record(self, signal: Ending, *, ends: bool) -> Path | None:
        """Add a signal to the answer of its story, once however often it comes; None when no file began it.

        The answer stands beside the file from the first signal that ends the story.
        """
        note = self.notes.find(signal.correlation_id)
        if note is None:
            return None
        kept = self.stories / f"{signal.correlation_id}.json"
        entries = _read(kept)
        if all(entry["id"] != signal.id for entry in entries):
            entries.append(entry_of(signal, ends))
            write_whole(kept, _text(entries))
        if not any(entry["ends"] for entry in entries):
            return None
        target = self.folder.done / f"{note.claim.name}{SUFFIX}"
        told = answer(note.claim, str(signal.correlation_id), entries)
        if self.is_changed(note):
            told["warning"] = CHANGED
        write_whole(target, _text(told))
        return target


def entry_of(signal: Ending, ends: bool) -> dict[str, Any]:
    """What is kept of one signal of a story."""
    return {
        "signal": signal.signal,
        "id": signal.id,
        "at": signal.timestamp,
        "source": signal.source,
        "ends": ends,
        "outcome": outcome(signal.signal),
        "summary": summary(signal.facts),
        "facts": dict(signal.facts),
    }


def answer(claim: Claim, story: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer file's content: the last ending on top, then every signal that belongs to it."""
    last = [entry for entry in entries if entry["ends"]][-1]
    findings = [entry["summary"] for entry in entries if not entry["ends"] and entry["summary"]]
    body = {"outcome": last["outcome"], "summary": last["summary"]}
    body |= {"found": findings[-1]} if findings else {}
    body |= {key: last["facts"][key] for key in TOLD if key in last["facts"]}
    return body | {
        "file": claim.file,
        "intent_id": claim.claim_id,
        "story": story,
        "ended_by": last["signal"],
        "ended_at": last["at"],
        "see": f"signal-tap trace {story}",
        "signals": entries,
    }


def outcome(signal: str) -> str:
    """What an ending means in a word, from the last word of its name."""
    word = signal.rpartition("_")[2]
    return ENDINGS.get(word, word.lower())


def summary(facts: Mapping[str, Any]) -> str:
    """The most telling text among the facts."""
    return next((str(facts[key]) for key in SUMMARISED if facts.get(key)), "")


def _read(kept: Path) -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = json.loads(kept.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return entries


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
