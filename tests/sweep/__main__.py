"""The whole crash sweep, in a process of its own: SQLite's files pass through `tests.support.power` there."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

from services.bus import deadfile
from tests.support.power import VARIANTS
from tests.sweep.run import Recorded, record
from tests.sweep.sweep import Sweep


def main() -> int:
    """Sweep, print what was found; 1 when that is anything."""
    parser = argparse.ArgumentParser(prog="crash-sweep", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--points", type=int, help="so many cut points, evenly spread, instead of all")
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL", "OFF"), default="FULL")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--rename-unsure", action="store_true", help="dead letters are replaced without a sync")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="crash-sweep-") as folder:
        unsure = patch.object(deadfile.LetterFile, "_sync_folder", lambda _: None)
        with unsure if asked.rename_unsure else nullcontext():
            recorded = record(Path(folder), asked.synchronous)
        sweep = Sweep(recorded, asked.seed)
        points = _after_the_rename(recorded) if asked.rename_unsure else sweep.points(asked.points)
        report = sweep.go(points, asked.variants)
    print(report)
    return 1 if report.findings else 0


def _after_the_rename(recorded: Recorded) -> range:
    renamed = next(n for n, act in enumerate(recorded.acts) if act.kind == "rename")
    return range(renamed, len(recorded.acts), 7)


if __name__ == "__main__":
    sys.exit(main())
