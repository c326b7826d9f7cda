"""Run the benchmarks: `python -m tools.bench [--quick] [--json FILE] [NAME…]`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from signals.errors import LigandError
from tools.bench import (
    backlog,
    chain,
    consume,
    dedup,
    emits,
    fanout,
    investigate,
    latency,
    policy,
    ready,
    rivals,
    sizes,
    tapcost,
    tapping,
)
from tools.bench.disk import file_system
from tools.bench.plot import svg
from tools.bench.report import Figure, Measured, Skipped, gather, machine, table
from tools.leaving import in_order

BENCHES: dict[str, Callable[[Path, bool], list[Measured] | Skipped]] = {
    "emits": emits.measure,
    "consume": consume.measure,
    "chain": chain.measure,
    "latency": latency.measure,
    "backlog": backlog.measure,
    "fanout": fanout.measure,
    "policy": policy.measure,
    "investigate": investigate.measure,
    "dedup": dedup.measure,
    "tap": tapping.measure,
    "sizes": sizes.measure,
    "ready": ready.measure,
    "tapcost": tapcost.measure,
}
ONCE = frozenset({"sizes"})
"""What has rounds of its own: all journals are grown once."""


@click.command()
@click.option("--quick", is_flag=True, help="Small counts and one round: does it run, not how fast.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures to this file too.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Draw the ratios into this SVG file.")
@click.option("--rounds", type=click.IntRange(1, 50), help="How often each is run, in turn [default: 5, quick 1].")
@click.option(
    "--in",
    "within",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("/var/tmp"),
    help="Where the temporary homes are made: the disk that is measured [default: /var/tmp].",
)
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHES)))
def main(  # noqa: PLR0917 - click names them
    quick: bool,
    json_file: Path | None,
    plot_file: Path | None,
    rounds: int | None,
    within: Path,
    names: tuple[str, ...],
) -> None:
    """Measure the bus, the frame and the drop folder with real processes, and print one table."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its modules compiled
    wanted = names or tuple(BENCHES)
    try:
        with in_order():
            figures, skipped = _rounds(wanted, within, quick, rounds or (1 if quick else 5))
    except LigandError as error:
        print(f"bench: {error.message}", file=sys.stderr)
        sys.exit(1)
    where = machine(f"{file_system(within)}; the bus with quota.roots_per_s 0")
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(table(figures, skipped, where))
    if json_file is not None:
        document = {"machine": where, "quick": quick, "figures": [figure.to_json() for figure in figures]}
        json_file.write_text(json.dumps(document, indent=2) + "\n")
    if plot_file is not None:
        plot_file.write_text(svg(figures, where))


def _rounds(names: tuple[str, ...], within: Path, quick: bool, rounds: int) -> tuple[list[Figure], list[Skipped]]:
    """Each benchmark in turn, round after round, so that a busy machine does not hit one of them alone."""
    measured: dict[str, list[list[Measured]]] = {name: [] for name in names}
    skipped: dict[str, Skipped] = {}
    for n in range(rounds):
        for name in names:
            if n and (name in ONCE or name in skipped):
                continue
            print(f"bench: {name}, round {n + 1} of {1 if name in ONCE else rounds}", file=sys.stderr, flush=True)
            found = BENCHES[name](within, quick)
            if isinstance(found, Skipped):
                skipped[name] = found
            else:
                measured[name].append(found)
    if (why := rivals.missing()) is not None:
        skipped["yardsticks"] = Skipped("JetStream, Redis, Mosquitto, ovos-messagebus", why)
    return [figure for name in names for figure in gather(measured[name])], list(skipped.values())


if __name__ == "__main__":
    main()
