"""How good D-REAM's candidates are against random search, and how often noise wins: `python -m tests.dream`.

Status 1 where they are no better, or where noise wins more often than its level allows. `--only` does it in pieces.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable

import click

from services.experiments.comparing import sign_flip_p
from tests.dream.functions import CASES, Case, drawn, quality, tried
from tests.dream.noise import LEVELS, false_winners, most_by_chance
from tests.dream.whole import whole_cycles

CYCLES = 200
NOISE, WHOLE = "noise", "cycles"


@click.command()
@click.option("--trials", default=240, show_default=True, help="Trials of each run, of either search.")
@click.option("--runs", default=5, show_default=True, help="Runs of each, with seeds from 0.")
@click.option(
    "--only", type=click.Choice([*(case.name for case in CASES), NOISE, WHOLE]), help="One function or kind of noise."
)
def main(trials: int, runs: int, only: str | None) -> None:
    """Print the median quality of both (the lower the better), and how often ours was better with the same seed."""
    chosen = [case for case in CASES if only in (None, case.name)]
    if chosen:
        click.echo(f"{'function':<12}{'trials':>7}{'ours':>12}{'random':>12}{'better in':>12}{'p':>10}")
    faults = [case.name for case in chosen if not _is_better(case, trials, runs)]
    if only in (None, NOISE):
        faults += [f"noise at {alpha:g}" for alpha, pairs in LEVELS if not _is_within(alpha, pairs, false_winners)]
    if only in (None, WHOLE) and not _is_within(*LEVELS[0], whole_cycles):
        faults.append("whole cycles of noise")
    if faults:
        sys.exit(f"not as it should be: {', '.join(faults)}")


def _is_better(case: Case, trials: int, runs: int) -> bool:
    """Whether the median of our runs is; `p` is that of the sign-flip test over the runs, which share a seed."""
    ours = [quality(case, tried(case, trials, seed)) for seed in range(runs)]
    random = [quality(case, drawn(case, trials, seed)) for seed in range(runs)]
    better = sum(one < other for one, other in zip(ours, random, strict=True))
    p = sign_flip_p([other - one for one, other in zip(ours, random, strict=True)])
    medians = statistics.median(ours), statistics.median(random)
    said = f"{case.name:<12}{trials:>7}{medians[0]:>12.4f}{medians[1]:>12.4f}"
    click.echo(f"{said}{f'{better} of {runs}':>12}{p:>10.2g}")
    return medians[0] < medians[1]


def _is_within(alpha: float, pairs: int, cycles: Callable[[float, int, int], tuple[int, int]]) -> bool:
    """Whether noise won no more often than an honest test of this level would have it win."""
    chosen, wins = cycles(alpha, pairs, CYCLES)
    most = most_by_chance(alpha, CYCLES)
    what = "whole cycles" if cycles is whole_cycles else "decisions"
    said = f"pure noise, {what}, {pairs} pairs: {chosen} of {CYCLES} had a candidate to prove, {wins} a winner"
    click.echo(f"{said}; alpha {alpha:g} allows {alpha * CYCLES:g} on average, {most} at the most")
    return wins <= most


if __name__ == "__main__":
    main()
