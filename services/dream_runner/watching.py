"""Watches a cycle on the terminal of the person who asked for it, until it has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from services.dream_runner.records import cycle_id
from signals.envelope import Signal, decode
from signals.journal import Journal
from signals.live import Subscription
from signals.paths import Paths

PROGRESS = "Q_DREAM_PROGRESS"
ENDS = ("Q_DREAM_COMPLETE", "Q_DREAM_FAILED", "Q_DREAM_TIMEOUT")
LOOK_S = 2.0


def watched(paths: Paths, wanted: Signal, emit: Callable[[], Any]) -> Signal:
    """Emit the wish once the mirror is heard, show how far its cycle is, and return what ended it.

    The mirror may lose; so the journal is looked into when nothing is heard for a while.
    """
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[best]}"),
        TimeElapsedColumn(), console=Console(stderr=True),
    )  # fmt: skip
    with Subscription(paths.mirror_socket, (PROGRESS, *ENDS)) as heard, bar:
        heard.wait(LOOK_S)  # the first beacon says that it listens
        emit()
        tasks: dict[str, TaskID] = {}
        while True:
            seen = heard.next(LOOK_S)
            if seen is not None and seen.name == PROGRESS:
                _advance(bar, tasks, decode(seen.raw).facts, cycle_id(wanted.id))
            elif (end := _end(paths, wanted)) is not None:
                return end


def _advance(bar: Progress, tasks: dict[str, TaskID], facts: dict[str, Any], cycle: str) -> None:
    if facts["cycle_id"] != cycle:
        return
    name = facts["experiment"]
    if name not in tasks:
        tasks[name] = bar.add_task(name, total=facts["trials"], best="")
    words = "proving" if facts.get("phase") == "proving" else ""
    best = f"best {facts['best']:.6g} {words}" if facts["best"] is not None else words
    bar.update(tasks[name], completed=facts["trial"], total=facts["trials"], best=best)


def _end(paths: Paths, wanted: Signal) -> Signal | None:
    with Journal(paths.journal) as journal:
        story = [decode(raw) for raw in journal.story(wanted.id)]
    return next((one for one in story if one.signal in ENDS), None)
