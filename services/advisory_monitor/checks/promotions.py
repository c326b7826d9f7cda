"""Promotions that wait in a folder, `ID.json` each, and that nobody has acknowledged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from services.advisory_monitor.hearing import short
from services.advisory_monitor.logic import Pace, Settled
from services.advisory_monitor.reaching import grant_hint, reason
from services.advisory_monitor.seen import Look, Said, Seen, Unseen
from services.experiments.promotions import beside, identifier
from signals.paths import Paths

MAX_TOLD = 256
MAX_FILES = 10_000
SETTLE_AT_MOST = 15


def make(config: Mapping[str, Any], paths: Paths) -> Promotions:
    """The check for the configured folders, or for the one beside the drop folder."""
    return Promotions(config, beside(paths.intents))


class Promotions:
    """Tells when more wait than before, when none wait any more, and again after a while."""

    pace = Pace(hold_s=0, clear_s=0)

    def __init__(self, config: Mapping[str, Any], usual: Path) -> None:
        self._settle_s = config["settle_s"]
        self._repeat_s = config["repeat_s"]
        self._folders = [Path(folder) for folder in config["folders"]] if config["folders"] is not None else [usual]
        self._own = usual if config["folders"] is None else None
        self._waiting: dict[Path, Settled] = {}

    def look(self, now: Look) -> Seen:
        """Look into each folder."""
        says: list[Said] = []
        puts: dict[str, Any] = {}
        unseen = []
        for folder in self._folders:
            try:
                files = self._files(folder)
            except OSError as error:
                unseen.append(_unseen(folder, error))
                continue
            said, put = self._judge(folder, files, now)
            says += said
            puts |= put
        return Seen(says=tuple(says), puts=puts, unseen=tuple(unseen))

    def close(self) -> None:
        """Nothing is held."""

    def _files(self, folder: Path) -> dict[str, Path]:
        if folder == self._own:
            folder.mkdir(mode=0o770, exist_ok=True)
        return dict(sorted(_promotions(folder)))

    def _judge(self, folder: Path, files: Mapping[str, Path], now: Look) -> tuple[list[Said], dict[str, Any]]:
        waiting = {name: path for name, path in files.items() if f"acknowledged|{name}" not in now.heard}
        place = short(str(folder))
        kept = now.kept.get(place) or {"told": [], "at": now.wall}
        names = {short(name): name for name in waiting}
        state = self._waiting[folder] = Settled.of(self._waiting.get(folder), frozenset(names), now.mono)
        if not state.is_at_rest(now.mono, self._settle_s, SETTLE_AT_MOST * self._settle_s):
            return [], {}
        self._waiting[folder] = Settled(state.value, state.changed, now.mono)
        told = set(kept["told"])
        due = bool(names) and not 0 <= now.wall - kept["at"] < self._repeat_s
        tells = bool(names.keys() - told) or (bool(told) and not names) or due
        if not tells and told == names.keys():
            return [], {}
        put = {place: {"told": sorted(names), "at": now.wall if tells else kept["at"]} if names else None}
        because = () if names else _acknowledgements(now.heard, told)
        facts = self._facts(folder, files, waiting, now)
        return [Said("Q_PROMOTIONS_DETECTED", facts, because)] if tells else [], put

    def _facts(self, folder: Path, files: Mapping[str, Path], waiting: Mapping[str, Path], now: Look) -> dict[str, Any]:
        dropped = sorted((found, name) for name, path in waiting.items() if (found := _dropped_at(path)) is not None)
        age_s = max(0.0, now.wall - dropped[0][0]) if dropped else 0.0
        return {
            "promotion_count": len(files),
            "unacknowledged_count": len(waiting),
            "oldest_promotion_age_hours": round(age_s / 3600, 3),
            "last_dream_time": now.heard.get("last_dream"),
            "promotions_path": str(folder),
            "promotion_ids": [name for _, name in dropped][:MAX_TOLD],
        }


def _promotions(folder: Path) -> Iterator[tuple[str, Path]]:
    """(id, file) of each; what begins with a dot is still being written."""
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            if count >= MAX_FILES:
                raise OSError(None, f"more than {MAX_FILES:,} files")
            if entry.name.startswith(".") or not entry.name.endswith(".json"):
                continue
            if entry.is_file(follow_symlinks=False):
                yield identifier(entry.name.removesuffix(".json")), Path(entry.path)


def _dropped_at(path: Path) -> float | None:
    """When it was put there; None when it has gone meanwhile."""
    try:
        return path.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return None


def _acknowledgements(heard: Mapping[str, Any], told: set[str]) -> tuple[str, ...]:
    lead = "acknowledged|"
    known = ((name.removeprefix(lead), kept) for name, kept in heard.items() if name.startswith(lead))
    return tuple(kept["signal"] for name, kept in known if short(name) in told)[:16]


def _unseen(folder: Path, error: OSError) -> Unseen:
    return Unseen(str(folder), f"The promotions in {folder} cannot be seen: {reason(error)}.", grant_hint(folder))
