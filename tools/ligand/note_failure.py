"""Run by `ExecStopPost=` at each end of a daemon, and by `OnFailure=`: note a failure, so that it is told.

`python -m tools.ligand.note_failure UNIT STATE RUN`; what happened is in `SERVICE_RESULT`, `EXIT_STATUS` and
`INVOCATION_ID`, or for `OnFailure=` in `MONITOR_*` (systemd.exec(5)). A file in `STATE/failures`, or in `RUN/failures`
when the disk takes none, is what `tell_failure` emits once the bus is there. Imports little: the restart waits for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from signals.ids import uuid7
from tools.ligand.unit_names import daemon_of

FOLDER = "failures"
WAITING_MAX = 1000
ASK_S = 5.0


@dataclass(frozen=True, slots=True)
class Note:
    """One failure. `id` and `timestamp` are those of the signal, so that telling it twice tells it once."""

    id: str
    timestamp: str
    unit: str
    invocation: str
    result: str
    status: str
    restarts: int | None

    def facts(self) -> dict[str, object]:
        """The facts of Q_DAEMON_FAILED."""
        found: dict[str, object] = {"unit": self.unit, "result": self.result, "restarts": self.restarts or 0}
        found["daemon"] = daemon_of(self.unit)
        return {**found, "exit_status": self.status} if self.status else found


def of(unit: str, environ: Mapping[str, str]) -> Note | None:
    """What has happened to a unit; None when it has ended well."""
    by = "MONITOR_" if "MONITOR_SERVICE_RESULT" in environ else ""
    result = environ.get(f"{by}SERVICE_RESULT") or "unknown"
    if result == "success":
        return None
    now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    invocation = environ.get(f"{by}INVOCATION_ID") or uuid7()
    return Note(uuid7(), now, unit, invocation, result, environ.get(f"{by}EXIT_STATUS") or "", restarts(unit))


def restarts(unit: str) -> int | None:
    """How often systemd has restarted a unit; None when it does not say."""
    scope = "--system" if os.getuid() == 0 else "--user"
    command = ["systemctl", scope, "show", "--value", "--property=NRestarts", unit]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ASK_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"cannot ask how often {unit} was restarted: {error}", file=sys.stderr)
        return None
    return int(done.stdout) if done.stdout.strip().isdecimal() else None


def keep(note: Note, state: Path, run: Path) -> None:
    """Put a note where it waits, once for each run of the unit. Raises `OSError` when no place takes it."""
    mark = run / "noted" / note.unit
    with suppress(FileNotFoundError):
        if mark.read_text(encoding="utf-8") == note.invocation:
            return  # `OnFailure=` after `ExecStopPost=`
    try:
        _write(note, state / FOLDER)
    except OSError as error:
        print(f"{state / FOLDER}: {error.strerror}; until the next boot it waits in {run / FOLDER}", file=sys.stderr)
        _write(note, run / FOLDER)
    mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark.write_text(note.invocation, encoding="utf-8")


def _write(note: Note, folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    others = os.listdir(folder)
    name = f"{note.unit}.{note.invocation}.json"
    beside = folder / f".{name}"
    with beside.open("w", encoding="utf-8") as file:
        json.dump(asdict(note), file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / name)
    if len(others) >= WAITING_MAX:
        _forget_one(folder, [one for one in others if one.startswith(f"{note.unit}.")])


def _forget_one(folder: Path, names: list[str]) -> None:
    """In a crash loop while the bus is away the latest replaces the one before: its `restarts` says how many."""
    latest = max(names, key=lambda name: (folder / name).stat().st_mtime_ns, default=None)
    if latest is not None:
        (folder / latest).unlink(missing_ok=True)


def main() -> None:
    """Note how the unit that is named has ended."""
    unit, state, run = sys.argv[1:]
    note = of(unit, os.environ)
    if note is not None:
        keep(note, Path(state), Path(run))


if __name__ == "__main__":
    main()
