"""What a cycle keeps on disk: a folder each, with its plan, a study and a record for each experiment.

Written whole or not at all. A cycle that was interrupted goes on from what is there.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import orjson

from signals.files import sync

KEPT = 50
"""Cycles whose folders are kept."""
_ID = re.compile(r"c-[0-9a-f-]{36}")
_TEXT = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS


def cycle_id(trigger_id: str) -> str:
    """The cycle's id: the same whenever its trigger is handled again."""
    return f"c-{trigger_id}"


def folder_of(state: Path, cycle: str) -> Path:
    """Where a cycle keeps its files. Raises `ValueError` for what is no cycle's id."""
    if not _ID.fullmatch(cycle):
        raise ValueError(f"{cycle!r} is no cycle's id")
    return state / "cycles" / cycle


def write(path: Path, found: Any) -> None:
    """Put a JSON file in place, durable when this returns."""
    write_bytes(path, orjson.dumps(found, option=_TEXT) + b"\n")


def write_bytes(path: Path, raw: bytes) -> None:
    """Put a file in place, durable when this returns."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    for folder in (path.parent, path.parent.parent):
        sync(folder)


def read(path: Path) -> Any:
    """A JSON file, None where there is none. Raises `OSError`, `ValueError`."""
    try:
        return orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None


def study_of(folder: Path, experiment: str) -> Path:
    """Where an experiment's study is, as long as its cycle runs."""
    return folder / f".{experiment}.study.db"


def record_of(folder: Path, experiment: str) -> Path:
    """What came of an experiment; there once it is decided."""
    return folder / f"{experiment}.json"


def cycles(state: Path) -> list[Path]:
    """The folders of the cycles, oldest first: a trigger's id begins with its time."""
    return sorted(path for path in (state / "cycles").glob("c-*") if _ID.fullmatch(path.name))


def prune(state: Path, running: str) -> None:
    """Remove all but the latest cycles, and what one that has ended needs no more."""
    found = [path for path in cycles(state) if path.name != running]
    for path in found[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)
    for path in found[-KEPT:]:
        for left in path.glob(".*.study.db*"):
            left.unlink(missing_ok=True)
