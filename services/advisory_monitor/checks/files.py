"""Files and folders that change: told once they have come to rest, and not when Ligand's own daemons wrote them."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

from services.advisory_monitor.changes import Change, changes
from services.advisory_monitor.logic import Pace, Settled
from services.advisory_monitor.own import OwnWrites, digest
from services.advisory_monitor.reaching import grant_hint, reason
from services.advisory_monitor.seen import Look, Reading, Said, Seen, Unseen
from services.advisory_monitor.watching import MAX_IN_ALL, PASSED_OVER, Stamp, Tree, Watch, advice
from signals.paths import Paths

MAX_SAID = 50
MAX_REMEMBERED = 10_000
SETTLE_AT_MOST = 15
LOST_S = 60.0
WATCH_LESS = "Watch less, or list what changes most under files.ignore in advisory_monitor.yaml."
AGAIN_S = 300.0
"""What is too much to be watched is not walked through again before that."""


def make(config: Mapping[str, Any], paths: Paths) -> Files | None:
    """The check; None without anything in `watch`. Where Ligand keeps its own files nothing is watched."""
    own = tuple(os.path.realpath(folder) for folder in (paths.state, paths.run, paths.intents))
    return Files(config, own) if config["watch"] else None


class Files:
    """What the kernel reports are hints where to look; what has changed is found by comparing."""

    pace = Pace(hold_s=0, clear_s=LOST_S)

    def __init__(self, config: Mapping[str, Any], own: tuple[str, ...]) -> None:
        self._settle_s, self._again_s, self._rescan_s = config["settle_s"], config["again_s"], config["rescan_s"]
        ignores = _ignores(config["ignore"], own)
        self._trees = [Tree(one["path"].rstrip("/") or "/", one["recursive"], ignores) for one in config["watch"]]
        self._watch = Watch()
        self._hints: dict[str, Settled] = {}
        self._told_at: dict[str, float] = {}
        self._waiting: deque[Change] = deque()
        self._fault = ""
        self._lost_at: float | None = None
        self._scanned_at: float | None = None

    def look(self, now: Look) -> Seen:
        """Look once."""
        own = OwnWrites(now.heard)
        self._appearing(now.mono)
        self._hear(now.mono)
        self._compare(now.mono, own)
        says: list[Said] = []
        while self._waiting and len(says) < MAX_SAID:
            said = _said(self._waiting.popleft(), own)
            says += [said] if said is not None else []
        unseen = tuple(Unseen(tree.path, tree.fault, _hint(tree)) for tree in self._trees if tree.fault)
        return Seen(readings=(self._reading(now.mono),), says=tuple(says), unseen=unseen)

    def close(self) -> None:
        """Watch nothing any more."""
        self._watch.close()

    # -- where to look -------------------------------------------------------------------------------

    def _appearing(self, mono: float) -> None:
        """Take in what could not be seen before. What is there at the first look is no change."""
        for tree in self._trees:
            if tree.files or mono < tree.again_at:
                continue
            try:
                there = self._walked(tree)
            except OSError as error:
                tree.fault = f"{tree.path} cannot be watched: {reason(error)}."
                tree.is_too_much = error.errno == errno.E2BIG
                tree.is_known = tree.is_known or not tree.is_too_much
                tree.again_at = mono if error.errno in PASSED_OVER else mono + AGAIN_S
                continue
            tree.fault = ""
            if not tree.is_known:
                tree.files, tree.is_known = there, True
            for path in there.keys() - tree.files.keys() - self._hints.keys():
                self._hint(path, mono)
            self._watch_all(tree.folders(there))

    def _walked(self, tree: Tree) -> dict[str, Stamp]:
        there = tree.walk()
        if len(there) + sum(len(one.files) for one in self._trees) > MAX_IN_ALL:
            raise OSError(errno.E2BIG, f"all that is watched would be more than {MAX_IN_ALL:,} files")
        return there

    def _hear(self, mono: float) -> None:
        paths, lost = self._watch.read()
        if lost:
            self._lost_at = mono
        due = self._scanned_at is None or mono - self._scanned_at >= self._rescan_s
        if lost or (self._fault and due):
            self._scanned_at = mono
            paths |= self._rescan()
        for path in paths:
            for tree in self._trees:
                if tree.holds(path):
                    self._hear_of(tree, path, mono)

    def _hear_of(self, tree: Tree, path: str, mono: float) -> None:
        """A path is to be looked at; a folder that is new with all beneath, for it was filled before it was watched."""
        self._hint(path, mono)
        if tree.recursive and path not in tree.files and os.path.isdir(path) and not os.path.islink(path):
            self._watch_all([path])
            try:
                inner = tree.walk(path)
            except OSError as error:
                if error.errno not in PASSED_OVER:  # else it went meanwhile, or is closed to us, as some may be
                    tree.fault = f"{path} cannot be watched: {reason(error)}."
                return
            self._watch_all(one for one, stamp in inner.items() if stamp.is_folder)
            for one in inner:
                self._hint(one, mono)

    def _rescan(self) -> set[str]:
        """The paths at which something else is there than before; tries to watch again where that had failed."""
        found: set[str] = set()
        self._fault = ""
        for tree in self._trees:
            try:
                there = tree.walk() if tree.files else {}
            except OSError:  # it is gone, which is a change
                there = {}
            found |= {path for path in {*there, *tree.files} if there.get(path) != tree.files.get(path)}
            self._watch_all(tree.folders(there) if there else ())
        return found

    def _watch_all(self, folders: Iterator[str] | Sequence[str]) -> None:
        if self._fault:
            return
        try:
            for folder in folders:
                self._watch.add(folder)
        except OSError as error:
            self._fault = advice(error)
            self._watch.close()

    def _hint(self, path: str, mono: float) -> None:
        before = self._hints.get(path)
        self._hints[path] = Settled(None, mono, before.began if before else mono)

    # -- what has changed ----------------------------------------------------------------------------

    def _compare(self, mono: float, own: OwnWrites) -> None:
        rested = [path for path, hint in self._hints.items() if self._is_due(path, hint, mono, own)]
        for path in rested:
            del self._hints[path]
        left = set(rested)
        for tree in self._trees:
            mine = {path for path in left if tree.holds(path)}
            left -= mine
            states = {path: (tree.files.get(path), Stamp.of(path)) for path in mine}
            found = changes(states)
            self._waiting += found
            self._told_at |= dict.fromkeys((change.path for change in found), mono)
            _note(tree, states)
        for path in list(islice(self._told_at, max(0, len(self._told_at) - MAX_REMEMBERED))):
            del self._told_at[path]

    def _is_due(self, path: str, hint: Settled, mono: float, own: OwnWrites) -> bool:
        if mono < self._told_at.get(path, -self._again_s) + self._again_s:
            return False
        settle_s = max(self._settle_s, own.patience_s(path))
        return hint.is_at_rest(mono, settle_s, SETTLE_AT_MOST * settle_s)

    def _reading(self, mono: float) -> Reading:
        if self._fault:
            words = f"Watched files are compared every {self._rescan_s:g} s only: {self._fault}."
            hint = "sysctl -w fs.inotify.max_user_watches=524288, and a file in /etc/sysctl.d to keep it."
            return Reading("file_watch", "warning", "comparing", "reporting", "state", words, hint)
        if self._lost_at is not None and mono - self._lost_at < LOST_S:
            words = "Files changed faster than the kernel reports; everything watched was compared anew."
            return Reading("file_watch", "warning", "overflow", "reporting", "state", words, WATCH_LESS)
        return Reading("file_watch", None, "reporting", "reporting", "state", "Watched files are reported at once.")


def _hint(tree: Tree) -> str:
    return WATCH_LESS if tree.is_too_much else grant_hint(Path(tree.path))


def _ignores(patterns: Sequence[str], own: Sequence[str]) -> Callable[[str], bool]:
    def ignores(path: str) -> bool:
        name = os.path.basename(path)
        return any(fnmatchcase(name, pattern) for pattern in patterns) or any(
            path == folder or path.startswith(f"{folder}/") for folder in own
        )

    return ignores


def _note(tree: Tree, states: Mapping[str, tuple[Stamp | None, Stamp | None]]) -> None:
    """Remember what is there now; what was beneath a folder that went is there no more."""
    for path, (before, now) in states.items():
        if now is not None:
            tree.files[path] = now
        else:
            tree.files.pop(path, None)
        if before is not None and before.is_folder and now is None:
            for inner in [one for one in tree.files if one.startswith(f"{path}/")]:
                del tree.files[inner]


def _said(change: Change, own: OwnWrites) -> Said | None:
    """The signal of a change; None for what one of Ligand's daemons wrote."""
    facts: dict[str, Any] = {"path": change.path, "change": change.kind, "is_folder": change.is_folder}
    if not change.is_folder and change.kind != "deleted":
        facts |= digest(change.path)
    if own.holds(change.path, change.kind, facts.get("sha256")):
        return None
    facts |= {"previous_path": change.previous} if change.previous else {}
    if any(len(os.fsencode(facts.get(name, ""))) > 4096 for name in ("path", "previous_path")):
        return None
    texts = {name: os.fsencode(one).decode("utf-8", "replace") for name, one in facts.items() if isinstance(one, str)}
    return Said("Q_FILE_CHANGED", facts | texts, taint=("file",))
