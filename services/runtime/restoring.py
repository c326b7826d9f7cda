"""Putting a backup in the journal's place so that a kill at any instant leaves the old journal or the new one.

What is to come lies ready in `.restore` beside the journal. From the moment its `plan.json` is there the restore is
decided, and whoever comes next finishes it: the command that began it, the command run again, or the bus at its start.
Until then nothing of the journal was touched. Every step may be repeated.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import orjson

from signals.errors import ConfigError
from signals.files import sync

JOURNAL, LETTERS = "journal.db", "failed_signals.jsonl"
READY, PLAN = ".restore", "plan.json"
_BESIDE = (f"{JOURNAL}-wal", f"{JOURNAL}-shm")


def pending(state: Path) -> Path | None:
    """Where a restore that was decided but not finished keeps the journal from before; None when there is none.

    `state` is the bus's state folder. Raises `ConfigError` for a plan that cannot be read.
    """
    plan = state / READY / PLAN
    try:
        found = orjson.loads(plan.read_bytes())
        return state / str(found["kept"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{plan} cannot be read ({error}). Move {plan.parent} away and restore again.") from error


def prepare(state: Path) -> Path:
    """An empty folder for what is to come; what an interrupted attempt left there is removed."""
    ready = state / READY
    shutil.rmtree(ready, ignore_errors=True)
    ready.mkdir(mode=0o750)
    return ready


def decide(state: Path, kept: str, owner: os.stat_result) -> None:
    """From here on the restore is finished, whatever happens. `kept` names the folder for what was there before."""
    ready, folder = state / READY, state / kept
    folder.mkdir(mode=0o750)
    for path in (ready, folder):
        _give(path, owner)
    fresh = ready / f"{PLAN}.new"
    fresh.write_bytes(orjson.dumps({"kept": kept}))
    _give(fresh, owner)
    for path in (*ready.iterdir(), ready, state):
        sync(path)
    fresh.rename(ready / PLAN)
    sync(ready)


def finish(state: Path) -> Path | None:
    """Finish a restore that was decided; where the journal from before is kept. None when there was nothing to do.

    The caller holds the bus's lock. Raises `ConfigError` when a file cannot be moved.
    """
    kept = pending(state)
    if kept is None:
        shutil.rmtree(state / READY, ignore_errors=True)  # an attempt that was never decided
        return None
    try:
        for name in (JOURNAL, LETTERS):
            _put_in_place(state, kept, name)
        (state / READY / PLAN).unlink()
        sync(state / READY)
        shutil.rmtree(state / READY)
    except OSError as error:
        raise ConfigError(
            f"A restore of the journal was interrupted, and cannot be finished: {error}. Mend that, then "
            "start the bus or run `ligand journal restore` again, as the owner of the folder or root."
        ) from error
    return kept


def _put_in_place(state: Path, kept: Path, name: str) -> None:
    """What is in the way is linked into `kept` before it is replaced, so that the name is never without a file."""
    fresh, target = state / READY / name, state / name
    if not fresh.exists():
        return  # it is in its place
    if target.exists() and not (kept / name).exists():
        _keep(target, kept / name)
    for beside in _BESIDE if name == JOURNAL else ():
        if (kept / beside).exists():  # who only read meanwhile has made another, in which there is nothing
            (state / beside).unlink(missing_ok=True)
        elif (state / beside).exists():
            (state / beside).rename(kept / beside)
    sync(kept)
    fresh.rename(target)
    sync(state)


def _keep(target: Path, kept: Path) -> None:
    try:
        os.link(target, kept)
    except OSError:  # a file system without links: for an instant there is no file, but there is the plan
        target.rename(kept)


def _give(path: Path, owner: os.stat_result) -> None:
    if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(path, owner.st_uid, owner.st_gid)
