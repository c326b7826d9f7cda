"""How good D-REAM's candidates are against random search, and how often noise wins: `python -m tests.dream`.

Status 1 where they are no better.
"""

from __future__ import annotations

import statistics
import sys

import click

from tests.dream.functions import CASES, drawn, quality, tried
from tests.dream.noise import false_winners

CYCLES = 200
LEVELS = ((0.05, 8), (0.01, 8), (0.0005, 12))


@click.command()
@click.option("--trials", default=240, show_default=True, help="Trials of each run, of either search.")
@click.option("--runs", default=5, show_default=True, help="Runs of each, with seeds from 0.")
@click.option("--only", help="One function alone.")
def main(trials: int, runs: int, only: str | None) -> None:
    """Print the median quality of both (the lower the better), and how often ours was better with the same seed."""
    lost = []
    click.echo(f"{'function':<12}{'trials':>7}{'ours':>12}{'random':>12}{'better in':>12}")
    for case in [one for one in CASES if only in (None, one.name)]:
        ours = [quality(case, tried(case, trials, seed)) for seed in range(runs)]
        random = [quality(case, drawn(case, trials, seed)) for seed in range(runs)]
        better = sum(one < other for one, other in zip(ours, random, strict=True))
        medians = statistics.median(ours), statistics.median(random)
        click.echo(f"{case.name:<12}{trials:>7}{medians[0]:>12.4f}{medians[1]:>12.4f}{f'{better} of {runs}':>12}")
        lost += [case.name] if medians[0] >= medians[1] else []
    for alpha, pairs in () if only else LEVELS:
        _, wins = false_winners(alpha, pairs, CYCLES)
        said = f"pure noise, {pairs} pairs: {wins} of {CYCLES} cycles had a winner"
        click.echo(f"{said}; alpha {alpha:g} allows {alpha * CYCLES:g} on average")
    if lost:
        sys.exit(f"no better than random search: {', '.join(lost)}")


if __name__ == "__main__":
    main()
