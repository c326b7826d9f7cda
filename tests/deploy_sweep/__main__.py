"""The sweeps of deployments: `python -m tests.deploy_sweep [--first 1.0] [--again 1.0] [--seed N] [--power]`."""

from __future__ import annotations

import argparse
import random
import sys

from tests.deploy_sweep.power import PowerSweep
from tests.deploy_sweep.sweep import Report, Sweep


def main() -> int:
    """Sweep, print what was found; 1 when that is anything."""
    parser = argparse.ArgumentParser(prog="deploy-sweep", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--first", type=float, default=1.0, help="which part of the kills of deployments, 0 to 1")
    parser.add_argument("--again", type=float, default=1.0, help="which part of the kills of recoveries, 0 to 1")
    parser.add_argument("--power", action="store_true", help="cut the power after every act on the disk instead")
    asked = parser.parse_args()
    if asked.power:
        return _told(PowerSweep().go())
    print(f"seed {asked.seed}", flush=True)
    return _told(Sweep(asked.first, asked.again, asked.seed).go())


def _told(report: Report) -> int:
    print(report)
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
