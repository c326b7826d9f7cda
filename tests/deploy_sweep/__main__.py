"""The sweep of deployments: `python -m tests.deploy_sweep [--first 1.0] [--again 1.0] [--seed N]`."""

from __future__ import annotations

import argparse
import random
import sys

from tests.deploy_sweep.sweep import Sweep


def main() -> int:
    """Sweep, print what was found; 1 when that is anything."""
    parser = argparse.ArgumentParser(prog="deploy-sweep", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--first", type=float, default=1.0, help="which part of the kills of deployments, 0 to 1")
    parser.add_argument("--again", type=float, default=1.0, help="which part of the kills of recoveries, 0 to 1")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    report = Sweep(asked.first, asked.again, asked.seed).go()
    print(report)
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
