"""Intent files that waited before the router was started: how many a second it routes."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from signals.envelope import decode, unix_seconds
from signals.journal import Journal
from tools.bench.home import BenchError, Home, opened
from tools.bench.report import Measured, Skipped

TARGET = 2_000
FILES = 44_638
ROUTER = "intent_router"
ROUTED = "Q_INTENT_READY"


def measure(within: Path, quick: bool) -> list[Measured] | Skipped:
    """The router's rate over the whole backlog; each file is routed exactly once or the figure is refused."""
    if find_spec(f"services.{ROUTER}") is None:
        return Skipped("backlog", "services/intent_router is not part of this installation")
    files = FILES // 10 if quick else FILES
    with opened(within, [ROUTER]) as home:
        drop(home.paths.intents, files)
        home.bus()
        home.start(ROUTER, "-m", f"services.{ROUTER}")
        home.wait(lambda journal: journal.names().get(ROUTED, 0) >= files, files / 50)
        bus, router = (1e6 * seconds / files for seconds in home.cpu_s())
        rate = files / _duration(home, files)
    how = f"{files:,} files before the start"
    return [
        Measured("backlog", rate, "files/s", TARGET, how),
        Measured("backlog, CPU of the bus", bus, "µs/file", None, how),
        Measured("backlog, CPU of the router", router, "µs/file", None, how),
    ]


def drop(folder: Path, files: int) -> None:
    """Intents as people's programs drop them, each about a module of its own."""
    for n in range(files):
        data = {"question": f"What does module {n} do?", "priority": "normal", "evidence": [f"path:bench/m{n}.py"]}
        intent = {"type": "discover.module", "id": f"discover.module.m{n}", "data": data}
        (folder / f"intent_{n:06}.json").write_text(json.dumps(intent))


def _duration(home: Home, files: int) -> float:
    with Journal(home.paths.journal) as journal:
        routed = journal.names()[ROUTED]
        if routed != files:
            raise BenchError(f"{routed:,} signals for {files:,} files.")
        (_, first), *_ = journal.page(0, 1, [ROUTED])
        (_, last), *_ = journal.page_before(journal.head() + 1, 1, [ROUTED])
    return unix_seconds(decode(last).received_at or "") - unix_seconds(decode(first).received_at or "")
