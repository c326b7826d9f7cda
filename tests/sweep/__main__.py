"""The whole crash sweep: `python -m tests.sweep [--seed N] [--points N] [--synchronous FULL|NORMAL|OFF]`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.sweep.run import record
from tests.sweep.sweep import Sweep


def main() -> int:
    """Sweep, print what was found; 1 when that is anything."""
    parser = argparse.ArgumentParser(prog="crash-sweep", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--points", type=int, help="so many cut points, evenly spread, instead of all")
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL", "OFF"), default="FULL")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="crash-sweep-") as folder:
        sweep = Sweep(record(Path(folder), asked.synchronous), asked.seed)
        report = sweep.go(sweep.points(asked.points))
    print(report)
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
