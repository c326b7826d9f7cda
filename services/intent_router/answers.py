"""The answer file: what became of an intent, written beside its file in `done/` when its story ends."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from services.intent_router.folder import Claim, Folder, State, as_claim, write_whole
from services.intent_router.logic import root_key
from signals.ids import is_id

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
    """Knows which story belongs to which file: the text of the link `done/.stories/<root id>` ends in the file's name,
    and begins with the size and the time of change that it had when it was read. One link: it is made for each file.

    `root_id` gives the id of the signal that the router emits under a key.
    """

    def __init__(self, folder: Folder, root_id: Callable[[str], str]) -> None:
        self.folder = folder
        self.stories = folder.done / STORIES
        self._root_id = root_id

    def open(self, claim: Claim, read: State) -> None:
        """Note whose story it will be and what was read, before it begins; noting it again changes nothing."""
        self.stories.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            self._link(claim).symlink_to(f"{read.size}.{read.mtime_ns}/{claim.name}")

    def forget(self, claim: Claim) -> None:
        """Take the note back: the claim was refused."""
        self._link(claim).unlink(missing_ok=True)

    def read_of(self, claim: Claim) -> State | None:
        """The file's state when it was first read; None when no note of it is left."""
        try:
            size, _, mtime_ns = os.readlink(self._link(claim)).partition("/")[0].partition(".")
        except FileNotFoundError:
            return None
        return State(int(size), int(mtime_ns))

    def is_changed(self, claim: Claim) -> bool:
        """Whether somebody wrote to the file after it was read; False when that cannot be told any more."""
        read, now = self.read_of(claim), self.folder.state(claim)
        return read is not None and now is not None and read != now

    def claim_of(self, story: str | None) -> Claim | None:
        """The claim whose story this is; None for a story that no file began."""
        if not is_id(story):
            return None
        try:
            return as_claim((self.stories / str(story)).readlink().name)
        except FileNotFoundError:
            return None

    def record(self, signal: Ending, *, ends: bool) -> Path | None:
        """Add a signal to the answer of its story, once however often it comes; None when no file began it.

        The answer stands beside the file from the first signal that ends the story.
        """
        claim = self.claim_of(signal.correlation_id)
        if claim is None:
            return None
        notes = self.stories / f"{signal.correlation_id}.json"
        entries = _read(notes)
        if all(entry["id"] != signal.id for entry in entries):
            entries.append(entry_of(signal, ends))
            write_whole(notes, _text(entries))
        if not any(entry["ends"] for entry in entries):
            return None
        target = self.folder.done / f"{claim.name}{SUFFIX}"
        told = answer(claim, str(signal.correlation_id), entries)
        if self.is_changed(claim):
            told["warning"] = CHANGED
        write_whole(target, _text(told))
        return target

    def prune(self, before_s: float) -> int:
        """Remove notes last written before then (Unix seconds); says how many."""
        gone = 0
        if self.stories.is_dir():
            for path in self.stories.iterdir():
                if path.lstat().st_mtime < before_s:
                    path.unlink(missing_ok=True)
                    gone += 1
        return gone

    def _link(self, claim: Claim) -> Path:
        return self.stories / self._root_id(root_key(claim.claim_id))


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


def _read(notes: Path) -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = json.loads(notes.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return entries


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
