"""Python modules on configured roots that the registry of capabilities does not know, as far as signals told."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.advisory_monitor.hearing import short
from services.advisory_monitor.logic import Pace, Settled
from services.advisory_monitor.reaching import grant_hint, reason
from services.advisory_monitor.seen import CheckFailed, Look, Said, Seen, Unseen
from signals.paths import Paths

DAY_S = 86_400.0
MAX_FILES = 2_000
MAX_ENTRIES = 5_000
SETTLE_AT_MOST = 20
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_NO_MODULES = frozenset({"__pycache__", "node_modules", "site-packages", "tests", "test"})
_TOLD = "told"


def make(config: Mapping[str, Any], paths: Paths) -> Modules | None:
    """The check; None without anything in `roots`."""
    return Modules(config) if config["roots"] else None


@dataclass(frozen=True, slots=True)
class Found:
    """A module: its name, its folder or file, how many Python files, whether a package, when last changed."""

    name: str
    path: str
    files: int
    has_init: bool
    changed: float
    root: str

    def facts(self) -> dict[str, Any]:
        """Facts of a Q_MODULE_DISCOVERED."""
        return {
            "module_name": self.name,
            "module_path": self.path,
            "py_files_count": self.files,
            "has_init": self.has_init,
            "root": self.root,
        }


class Modules:
    """Tells of each module once, the newest first, so many a day; again when it is unknown after long."""

    pace = Pace(hold_s=0, clear_s=0)

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._roots = [Path(root) for root in config["roots"]]
        self._settle_s = config["settle_s"]
        self._repeat_s = config["repeat_s"]
        self._per_day = config["per_day"]
        self._settling: dict[str, Settled] = {}

    def look(self, now: Look) -> Seen:
        """Look through each root."""
        found: dict[str, Found] = {}
        unseen = []
        for root in self._roots:
            try:
                found |= {short(one.path): one for one in _modules(Path(os.path.realpath(root)))}
            except OSError as error:
                words = f"The modules in {root} cannot be seen: {reason(error)}."
                unseen.append(Unseen(str(root), words, grant_hint(root)))
        unknown = {key: one for key, one in found.items() if key not in now.heard}
        self._settling = {key: Settled.of(self._settling.get(key), one, now.mono) for key, one in unknown.items()}
        waiting = [(key, one) for key, one in unknown.items() if self._is_due(key, now)]
        waiting.sort(key=lambda item: -item[1].changed)
        told = [at for at in now.kept.get(_TOLD, []) if 0 <= now.wall - at < DAY_S]
        taken = waiting[: max(0, self._per_day - len(told))]
        puts: dict[str, Any] = {key: now.wall for key, _ in taken}
        if not unseen:
            puts |= {key: None for key in now.kept if key != _TOLD and key not in unknown}
        if taken:
            puts[_TOLD] = [*told, *(now.wall for _ in taken)]
        left = len(waiting) - len(taken)
        note = f"{left} modules wait to be told of, {self._per_day} a day" if left else ""
        says = tuple(Said("Q_MODULE_DISCOVERED", one.facts()) for _, one in taken)
        return Seen(says=says, puts=puts, unseen=tuple(unseen), note=note)

    def close(self) -> None:
        """Nothing is held."""

    def _is_due(self, key: str, now: Look) -> bool:
        at = now.kept.get(key)
        if at is not None and 0 <= now.wall - at < self._repeat_s:
            return False
        return self._settling[key].is_at_rest(now.mono, self._settle_s, SETTLE_AT_MOST * self._settle_s)


def _modules(root: Path) -> Iterator[Found]:
    """What `import` would find right beneath a root. Raises OSError. Links are not followed."""
    with os.scandir(root) as entries:
        for count, entry in enumerate(entries):
            if count >= MAX_ENTRIES:
                raise CheckFailed(f"{root} has more than {MAX_ENTRIES:,} entries; give a folder that modules are in.")
            try:
                found = _module(entry, root)
            except (FileNotFoundError, NotADirectoryError):  # it has gone meanwhile, which is no fault of the root
                continue
            if found is not None:
                yield found


def _module(entry: os.DirEntry[str], root: Path) -> Found | None:
    name = entry.name.removesuffix(".py")
    if not _IDENTIFIER.fullmatch(name) or name in _NO_MODULES or name == "__init__":
        return None
    changed = entry.stat(follow_symlinks=False).st_mtime
    if entry.name != name:
        is_file = entry.is_file(follow_symlinks=False)
        return Found(name, entry.path, 1, False, changed, str(root)) if is_file else None
    if not entry.is_dir(follow_symlinks=False):
        return None
    try:
        names = set(os.listdir(entry.path))
        files = _count(entry.path)
    except PermissionError:  # somebody else's folder in a shared root: not the person's module
        return None
    if not any(one.endswith(".py") for one in names):
        return None
    return Found(name, entry.path, files, "__init__.py" in names, changed, str(root))


def _count(folder: str) -> int:
    """Python files at and beneath a folder, at most `MAX_FILES`, however deep; what is closed counts nothing."""
    count, folders = 0, [folder]
    while folders and count < MAX_FILES:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        count += entry.name.endswith(".py")
                    elif not entry.name.startswith(".") and entry.name not in _NO_MODULES:
                        folders.append(entry.path)
        except OSError:
            continue
    return min(count, MAX_FILES)
