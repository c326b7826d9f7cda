"""Processes of configured names: that they appear, end, are replaced, or should be there and are not."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psutil

from services.advisory_monitor.logic import Bounds, Pace, Severity
from services.advisory_monitor.measuring import Gauge, bounds
from services.advisory_monitor.seen import CheckFailed, Look, Reading, Said, Seen, Unseen
from signals.envelope import rfc3339
from signals.paths import Paths

MAX_EACH = 200
MAX_SAID = 50
LOOK_AGAIN = 12
"""A process may take another name after it began: all are looked at anew every so many looks."""
YOUNG_S = 30.0
_HIDDEN = Unseen(
    "/proc",
    "Processes of other users are hidden from the monitor.",
    "See whether /proc is mounted with hidepid, or the unit has ProtectProc=; see proc(5).",
)


def make(config: Mapping[str, Any], paths: Paths) -> Processes | None:
    """The check; None without anything in `watch`."""
    return Processes(config) if config["watch"] else None


class Processes:
    """Compares who is there with who was there at the last look, also over a restart of the monitor."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.pace = Pace(config["hold_s"], config["clear_s"], config["repeat_s"])
        self._watched: Sequence[Mapping[str, Any]] = config["watch"]
        self._window_s = config["window_s"]
        self._bounds: Bounds = bounds(config, "restarts")
        self._ended: dict[str, deque[float]] = {}
        self._others: set[int] = set()
        self._looks = 0
        self._gauge = Gauge()

    def look(self, now: Look) -> Seen:
        """Look once."""
        there = self._there(now.wall)
        says: list[Said] = []
        readings: list[Reading] = []
        puts: dict[str, Any] = {}
        for one in self._watched:
            label = one["label"]
            current = {str(pid): round(began, 2) for pid, began in there.get(label, {}).items()}
            kept = now.kept.get(label)
            if kept is not None:
                said = list(_changes(label, kept, current))
                says += said
                ends = sum(one.facts["change"] != "started" for one in said)
                self._ended.setdefault(label, deque()).extend([now.mono] * ends)
            if kept != current:
                puts[label] = current
            readings += self._readings(one, len(current), now)
        unseen = () if os.path.exists("/proc/1") else (_HIDDEN,)
        return Seen(readings=tuple(readings), says=tuple(says[:MAX_SAID]), puts=puts, unseen=unseen)

    def close(self) -> None:
        """Nothing is held."""

    def _there(self, wall: float) -> dict[str, dict[int, float]]:
        """Label -> pid -> when it began. Who is known to be somebody else is not read again for a while."""
        self._looks += 1
        if self._looks % LOOK_AGAIN == 0:
            self._others.clear()
        pids = set(psutil.pids())
        self._others &= pids
        found: dict[str, dict[int, float]] = {}
        for pid in sorted(pids - self._others):
            try:
                process = psutil.Process(pid)
                began, labels = process.create_time(), self._labels(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
            if not labels and wall - began > YOUNG_S:
                self._others.add(pid)
            for label in labels:
                mine = found.setdefault(label, {})
                if len(mine) >= MAX_EACH:
                    raise CheckFailed(f"More than {MAX_EACH} processes are {label}; give a name that means fewer.")
                mine[pid] = began
        return found

    def _labels(self, process: psutil.Process) -> list[str]:
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                return []
            name = process.name()
            command = " ".join(process.cmdline()) if any("command" in one for one in self._watched) else ""
        return [
            one["label"]
            for one in self._watched
            if one.get("name", name) == name and one.get("command", command) in command
        ]

    def _readings(self, one: Mapping[str, Any], count: int, now: Look) -> Iterator[Reading]:
        label = one["label"]
        if one["expected"]:
            words = f"{label} runs." if count else f"{label} does not run."
            severity: Severity | None = None if count else "warning"
            hint = "Start it, or take `expected` from it in advisory_monitor.yaml."
            yield Reading("process", severity, count, 1, "processes", words, hint, label)
        ended = self._ended.setdefault(label, deque())
        while ended and ended[0] < now.mono - self._window_s:
            ended.popleft()
        words = f"{label} ended {len(ended)} times within {self._window_s / 60:g} minutes."
        hint = "See its own log for why."
        yield self._gauge.read(
            now, "process_restarts", len(ended), self._bounds, unit="ends", message=words, hint=hint, subject=label
        )


def _changes(label: str, before: Mapping[str, float], current: Mapping[str, float]) -> Iterator[Said]:
    """What became of the processes of one label: an end and a beginning together are a replacement."""
    gone = [pid for pid, began in before.items() if current.get(pid) != began]
    new = [pid for pid, began in current.items() if before.get(pid) != began]
    for index, pid in enumerate(new):
        facts: dict[str, Any] = {
            "pid": int(pid),
            "name": label,
            "change": "started",
            "started_at": rfc3339(current[pid]),
        }
        if index < len(gone):
            facts |= {"change": "replaced", "previous_pid": int(gone[index])}
        yield Said("Q_PROCESS_CHANGED", facts)
    for pid in gone[len(new) :]:
        yield Said("Q_PROCESS_CHANGED", {"pid": int(pid), "name": label, "change": "exited"})
