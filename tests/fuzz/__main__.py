"""Fuzz every door: `python -m tests.fuzz [--inputs 1000000] [--seed N] [DOOR…]`."""

from __future__ import annotations

import base64
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tests.fuzz.door import Door, Tally, fuzz
from tests.fuzz.live import LIVE
from tests.fuzz.pure import PURE
from tests.support.slope import slope

SHARES = {
    "envelope": 45, "contract": 1, "manifest": 1.5, "config": 3, "routes": 1, "intent": 35, "recording": 8,
    "bus": 6, "zmtp": 2, "mirror": 8, "drops": 0.5,
}  # fmt: skip
"""Per cent of the inputs (and some more, so that all are passed): quick doors get more of them."""
DOORS: dict[str, type[Any]] = {kind.name: kind for kind in (*PURE, *LIVE)}


@click.command()
@click.option("--inputs", type=click.IntRange(min=1), default=1_000_000, show_default=True, help="Over all doors.")
@click.option("--seed", type=int, help="The same seed gives the same inputs; else one is chosen and printed.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/fuzz"), show_default=True)
@click.argument("doors", nargs=-1, type=click.Choice(list(DOORS)))
def main(inputs: int, seed: int | None, out: Path, doors: Sequence[str]) -> None:
    """Put wrong and right bytes into every door; each must be a named refusal or a valid effect."""
    seed = random.randrange(1 << 32) if seed is None else seed
    print(f"seed {seed}", flush=True)
    total, wrong = 0, False
    for name in doors or tuple(DOORS):
        tally, seconds = through(name, max(1, round(inputs * SHARES[name] / 100)), seed)
        total += tally.inputs
        faults = [*tell(tally, seconds), *keep(tally, out)]
        wrong = wrong or bool(faults)
        print("".join(f"  FAULT: {fault}\n" for fault in faults), end="", flush=True)
    print(f"{total:,} inputs; " + ("there are faults" if wrong else "each was a named refusal or a valid effect"))
    sys.exit(1 if wrong else 0)


def through(name: str, inputs: int, seed: int) -> tuple[Tally, float]:
    """What became of so many inputs at one door, and the seconds it took."""
    with tempfile.TemporaryDirectory(prefix="ligand-fuzz-", dir="/var/tmp") as folder:
        door: Door = DOORS[name](Path(folder))
        began = time.monotonic()
        try:
            return fuzz(door, inputs, seed), time.monotonic() - began
        finally:
            door.close()


def tell(tally: Tally, seconds: float) -> list[str]:
    """Print one line about a door; its faults."""
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(tally.outcomes.items()))
    grown = growth_kib(tally)
    shapes = f"{len(tally.shapes):,} different answers"
    quarters = [tally.memory[len(tally.memory) * nth // 4][1] // 1024 for nth in range(4)]
    memory = f"memory {' '.join(map(str, [*quarters, tally.memory[-1][1] // 1024]))} MiB, {grown:+,.0f} KiB"
    print(f"{tally.door}: {tally.inputs:,} inputs in {seconds:.0f} s: {outcomes}; {shapes}; {memory}")
    return [f"memory grew by {grown:,.0f} KiB"] if grown > DOORS[tally.door].may_grow_kib else []


def growth_kib(tally: Tally) -> float:
    """The memory's rise over the last three quarters, by least squares; 0 for too few inputs to tell."""
    late = tally.memory[len(tally.memory) // 4 :]
    if len(late) < 10:
        return 0.0
    nths, sizes = [float(nth) for nth, _ in late], [float(size) for _, size in late]
    return slope(nths, sizes) * (nths[-1] - nths[0])


def keep(tally: Tally, out: Path) -> list[str]:
    """Write each finding to a file; a line about each."""
    lines = []
    for number, (where, finding) in enumerate(tally.findings.items(), 1):
        out.mkdir(parents=True, exist_ok=True)
        file = out / f"{tally.door}-{number}.txt"
        file.write_text(f"{where}\n{finding.error}\nThe input in base64:\n{base64.b64encode(finding.raw).decode()}\n")
        lines.append(f"{where}: {file}")
    return lines


if __name__ == "__main__":
    main()
