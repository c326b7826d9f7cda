"""Intent files that waited before the router was started: how many a second it routes, and what an urgent one waits."""

from __future__ import annotations

import json
import time
from importlib.util import find_spec
from pathlib import Path

from signals.envelope import decode, unix_seconds
from signals.journal import Journal
from tools.bench.home import BenchError, Home, opened
from tools.bench.report import Measured, Skipped, percentile

TARGET = 5_000
FILES = 44_638
ROUTER = "intent_router"
ROUTED = "Q_INTENT_READY"
URGENT = "urgent"


def measure(within: Path, quick: bool) -> list[Measured] | Skipped:
    """The router's rate over the whole backlog; each file is routed exactly once or the figure is refused."""
    if find_spec(f"services.{ROUTER}") is None:
        return Skipped("backlog", "services/intent_router is not part of this installation")
    files = FILES // 10 if quick else FILES
    with opened(within, [ROUTER]) as home:
        drop(home.paths.intents, files)
        home.bus()
        home.start(ROUTER, "-m", f"services.{ROUTER}")
        home.wait(lambda journal: journal.names().get(ROUTED, 0) >= files // 10, files / 50)
        dropped = time.time()
        drop_one(home.paths.intents, URGENT, "critical")
        home.wait(lambda journal: journal.names().get(ROUTED, 0) > files, files / 50)
        bus, router = (1e6 * seconds / files for seconds in home.cpu_s())
        first, urgent, last = _times(home, files)
        arrivals = _arrivals(home, 20 if quick else 200)
        rate = files / (last - first)
    how = f"{files:,} files before the start"
    return [
        Measured("backlog", rate, "files/s", TARGET, how),
        Measured(
            "a critical file dropped meanwhile",
            1e3 * (urgent - dropped),
            "ms",
            None,
            f"the rest took {last - dropped:.1f} s",
        ),
        *(
            Measured(f"a dropped file → its signal, p{p}", percentile(arrivals, p), "ms", note="one at a time")
            for p in (50, 99)
        ),
        Measured("backlog, CPU of the bus", bus, "µs/file", None, how),
        Measured("backlog, CPU of the router", router, "µs/file", None, how),
    ]


def _arrivals(home: Home, files: int) -> list[float]:
    """Milliseconds from the rename of a file into the folder until its signal is on disk, one file after the other."""
    found = []
    for n in range(files):
        name = f"alone{n}"
        drop_one(home.folder, name, "normal")
        upto, dropped = home.head() + 1, time.time()
        (home.folder / f"intent_{name}.json").rename(home.paths.intents / f"intent_{name}.json")
        home.wait(lambda journal, upto=upto: journal.head() >= upto, 30.0)  # type: ignore[misc]
        with Journal(home.paths.journal) as journal:
            ((_, raw),) = journal.page(upto - 1, 1)
        found.append(1000 * (unix_seconds(decode(raw).received_at or "") - dropped))
    return found


def drop(folder: Path, files: int) -> None:
    """Intents as people's programs drop them, each about a module of its own."""
    for n in range(files):
        drop_one(folder, f"m{n}", "normal")


def drop_one(folder: Path, module: str, priority: str) -> None:
    """One intent."""
    data = {"question": f"What does {module} do?", "priority": priority, "evidence": [f"path:bench/{module}.py"]}
    intent = {"type": "discover.module", "id": f"discover.module.{module}", "data": data}
    (folder / f"intent_{module}.json").write_text(json.dumps(intent))


def _times(home: Home, files: int) -> tuple[float, float, float]:
    """When the first, the urgent and the last file were journaled (Unix seconds); each must be there just once."""
    seen: dict[str, float] = {}
    with Journal(home.paths.journal) as journal:
        for _, raw in journal.walk(0, [ROUTED]):
            signal = decode(raw)
            if signal.facts["question_id"] in seen:
                raise BenchError(f"{signal.facts['question_id']} was routed twice.")
            seen[signal.facts["question_id"]] = unix_seconds(signal.received_at or "")
    if len(seen) != files + 1:
        raise BenchError(f"{len(seen):,} signals for {files + 1:,} files.")
    return min(seen.values()), seen[f"discover.module.{URGENT}"], max(seen.values())
