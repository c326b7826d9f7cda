"""Kill everything, again and again: `python -m tests.chaos [--kills 1000] [--seed N] [--outage 60]`."""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click

from tests.chaos.decisions import decide
from tests.chaos.judging import faults
from tests.chaos.run import Chaos
from tests.chaos.work import Work
from tests.support.constellation import constellation
from tests.support.load import chain, packaged
from tools.demo.endings import stop_when_asked

MOST_TOLD = 50


@click.command()
@click.option("--kills", type=click.IntRange(min=1), default=1000, show_default=True)
@click.option("--seed", type=int, help="The same seed draws the same decisions; else one is chosen and printed.")
@click.option("--outage", type=float, default=60.0, show_default=True, help="Seconds the bus is away, twice.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/chaos"), show_default=True)
@click.option("--in", "within", type=click.Path(path_type=Path, exists=True), default=Path("/var/tmp"))
def main(kills: int, seed: int | None, outage: float, out: Path, within: Path) -> None:
    """Kill bus and daemons at work; then every story has exactly one end, and no effect is doubled."""
    stop_when_asked()
    seed = random.randrange(1 << 32) if seed is None else seed
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ligand-chaos-", dir=within) as folder, constellation(Path(folder)) as home:
        commands = {**packaged(), **chain(home)}
        decisions = decide(seed, kills, ["bus", *commands], outage)
        chaos = Chaos(home, commands, Work(home, intents=True))
        chaos.begin()
        try:
            chaos.carry_out(decisions, lambda line: print(f"{time.monotonic() - began:6.0f} s: {line}", flush=True))
        finally:
            chaos.work.end()
        chaos.finish()
        found = faults(chaos, counted=True)
        if found:  # what tells why
            shutil.copytree(home.home, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("run"))
            print(f"The home as it was: {out}")
    _tell(chaos, time.monotonic() - began)
    if len(found) > MOST_TOLD:
        print(f"{len(found):,} faults, of which the first {MOST_TOLD}:")
    print(
        "\n".join(f"FAULT: {fault}" for fault in found[:MOST_TOLD])
        or "Exactly one end for each; nothing lost or doubled."
    )
    sys.exit(1 if found else 0)


def _tell(chaos: Chaos, seconds: float) -> None:
    acts: Counter[str] = Counter()
    for what, count in chaos.done.items():
        acts[what.split()[0]] += count
    print(f"{acts['kill']:,} kills, {acts['freeze']:,} freezes, the bus away {acts['outage']} times; {seconds:.0f} s")
    print(", ".join(f"{what} {count}" for what, count in sorted(chaos.done.items())))
    print(f"{len(chaos.work.roots):,} stories of the chain, {len(chaos.work.asked):,} intents")
    print(f"at the end: {chaos.rest}")
    print(f"{chaos.replayed} replayed: killed five times in a row with one signal alone in hand")


if __name__ == "__main__":
    main()
