"""The whole crash sweep, in a process of its own: SQLite's files pass through `tests.support.power` there."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.support.faulty import FAULTS
from tests.support.power import VARIANTS
from tests.sweep.run import record
from tests.sweep.sweep import Sweep

SHOWS = {"lose_deadlines": "deadlines", "rename_unsynced": "prune_letters"}
"""In which chapter of the run a fault shows that shows in no other."""


def main() -> int:
    """Sweep, print what was found; 1 when that is anything."""
    parser = argparse.ArgumentParser(prog="crash-sweep", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--points", type=int, help="so many cut points, evenly spread, instead of all")
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL", "OFF"), default="FULL")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--fault", choices=FAULTS, help="sweep a bus with this fault, which must be found")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    if asked.fault:
        FAULTS[asked.fault]()
    with tempfile.TemporaryDirectory(prefix="crash-sweep-") as folder:
        recorded = record(Path(folder), asked.synchronous)
        sweep = Sweep(recorded, asked.seed)
        points = sweep.points(asked.points)
        if asked.fault in SHOWS:
            begin = recorded.marks[SHOWS[asked.fault]]
            points = [point for point in range(begin, begin + 200, 8) if point <= len(recorded.acts)]
        report = sweep.go(points, asked.variants)
    print(report)
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
