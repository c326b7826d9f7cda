"""git repositories: commits, branches, what is checked out, and what lies uncommitted for long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import Any

import orjson

from services.advisory_monitor.git import NoGit, NotReadable, Repository
from services.advisory_monitor.hearing import short
from services.advisory_monitor.logic import Pace
from services.advisory_monitor.reaching import grant_hint, reason
from services.advisory_monitor.seen import Look, Reading, Said, Seen, Unseen
from signals.paths import Paths

MAX_REFS = 1_000
MAX_SAID = 20
ROOM = 512 * 1024
"""Bytes of what is told and kept of one look, which becomes true in one step; what is too much is found again later."""
SIGNAL_BYTES = 1024

Refs = Mapping[str, tuple[str, str, str]]


def make(config: Mapping[str, Any], paths: Paths) -> Repositories | None:
    """The check; None without anything in `paths`."""
    return Repositories(config) if config["paths"] else None


class Repositories:
    """Compares each repository with how it was at the last look, also over a restart of the monitor."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.pace = Pace(hold_s=0, clear_s=0, repeat_s=config["repeat_s"])
        self._paths = [Path(path) for path in config["paths"]]
        self._dirty_s = config["dirty_s"]

    def look(self, now: Look) -> Seen:
        """Look once."""
        says: list[Said] = []
        readings: list[Reading] = []
        puts: dict[str, Any] = {}
        unseen: list[Unseen] = []
        room = ROOM
        for path in self._paths:
            try:
                said, kept, reading = self._look(Repository(path), now)
            except NotReadable as error:
                unseen.append(Unseen(str(path), str(error), error.hint))
            except OSError as error:
                unseen.append(Unseen(str(path), f"{path} cannot be read: {reason(error)}.", grant_hint(path)))
            except NoGit as error:
                unseen.append(Unseen("git", str(error), "Install git: apt install git."))
                break
            else:
                readings.append(reading)
                if kept == now.kept.get(short(str(path))):
                    continue
                room -= len(orjson.dumps(kept)) + SIGNAL_BYTES * len(said)
                if room >= 0 or not puts:
                    says += said
                    puts[short(str(path))] = kept
        return Seen(readings=tuple(readings), says=tuple(says), puts=puts, unseen=tuple(unseen))

    def close(self) -> None:
        """Nothing is held."""

    def _look(self, repository: Repository, now: Look) -> tuple[list[Said], dict[str, Any], Reading]:
        path = str(repository.path)
        refs, head = dict(list(repository.refs().items())[:MAX_REFS]), repository.head()
        files = repository.changed_files()
        before = now.kept.get(short(path))
        since = (before or {}).get("dirty_since") if files else None
        since = now.wall if files and (since is None or since > now.wall) else since
        kept = {"refs": {name: commit for name, (commit, _, _) in refs.items()}, "head": head, "dirty_since": since}
        said = list(_changes(repository, before, refs, head)) if before is not None else []
        if len(said) > MAX_SAID:  # another repository was put in its place, or a whole set was fetched into it
            said = said[-MAX_SAID:]
        return said, kept, self._dirty(path, files, since, now)

    def _dirty(self, path: str, files: int, since: float | None, now: Look) -> Reading:
        long = since is not None and now.wall - since >= self._dirty_s
        words = f"{files} changed files in {path} are not committed for {self._dirty_s / 3600:g} hours or more."
        if not long:
            words = f"{path} is committed, or has changed lately."
        hint = f"See `git -C {quote(path)} status`; commit it, or put it away: git stash."
        return Reading("repository_dirty", "warning" if long else None, files, 0, "files", words, hint, path)


def _changes(repository: Repository, before: Mapping[str, Any], refs: Refs, head: str) -> Iterator[Said]:
    """What became of each branch, and of what is checked out."""
    path, old = str(repository.path), before["refs"]
    for name in sorted(old.keys() - refs.keys()):
        facts = {"repository": path, "ref": name, "change": "deleted", "commit": None, "previous_commit": old[name]}
        yield _changed(facts)
    for name, (commit, subject, author) in sorted(refs.items()):
        if old.get(name) != commit:
            facts = {"repository": path, "ref": name, "commit": commit} | _about(subject, author)
            yield _changed(facts | _how(repository, old.get(name), commit))
    if head != before["head"]:
        is_branch = head.startswith("refs/")
        facts = {"repository": path, "ref": head if is_branch else "HEAD", "change": "switched"}
        commit, subject, author = refs.get(head, ("", "", ""))
        facts |= {"commit": (commit or None) if is_branch else head} | _about(subject, author)
        facts |= {"previous_ref": before["head"]} if before["head"].startswith("refs/") else {}
        yield _changed(facts)


def _changed(facts: Mapping[str, Any]) -> Said:
    return Said("Q_REPOSITORY_CHANGED", facts, taint=("file",))  # subjects and names are whatever somebody wrote


def _how(repository: Repository, old: str | None, new: str) -> dict[str, Any]:
    if old is None:
        return {"change": "created"}
    count = repository.added(old, new)
    change = {"change": "rewritten"} if count is None else {"change": "commits_added", "commits": count}
    return change | {"previous_commit": old}


def _about(subject: str, author: str) -> dict[str, str]:
    """What the newest commit says of itself, where it says anything."""
    found = {"subject": subject[:512], "author": author[:256]}
    return {name: value for name, value in found.items() if value}
