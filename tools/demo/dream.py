"""`python -m tools.demo.dream`, or `make demo-dream`: a setting made better by D-REAM, and one taken back."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from signals.paths import Paths
from tools.cli import NOTHING, OK, run, told
from tools.demo import running
from tools.demo.dream_acts import Stage, improve, sabotage
from tools.demo.dream_home import furnish
from tools.demo.endings import stop_when_asked
from tools.demo.summary import heading, verdict
from tools.signal_tap import options
from tools.signal_tap.following import Tail
from tools.signal_tap.output import Output, painter
from tools.signal_tap.selection import Selection

GIVEN_UP_S = 300.0


@click.command()
@click.option("--keep", is_flag=True, help="Leave the home where it is, to look around in it.")
@options.color
@told
def demo_dream(*, keep: bool, color: str) -> int:
    """Have D-REAM mend a setting of Ligand's own, see it deployed and measured; then see a bad one taken back."""
    begun = time.monotonic()
    output = Output()
    with running.home(keep) as paths:
        paint = painter(paths, output, color)
        furnish(paths)
        output.line(f"Starting the constellation in {paths.home}")
        with running.constellation(paths) as process:
            running.await_ready(paths, process)
            with Tail(paths, Selection(), 0) as tail:
                stage = Stage(paths, tail, paint, output, begun + GIVEN_UP_S)
                output.line(heading(paint, "A promotion is dropped; what follows, follows by itself"))
                checks = improve(stage)
                output.line(heading(paint, "Another winner, sabotaged after its cycle and before its approval"))
                checks += sabotage(stage)
        output.line(heading(paint, "The file"))
        output.line(_file_of(paths).read_text().rstrip())
        output.line(heading(paint, "Checked"))
        for line in verdict(paint, checks, time.monotonic() - begun):
            output.line(line)
        if keep:
            output.line(f"Kept in {paths.home}; look back with: ligand deploy history --home {paths.home}")
        return OK if all(check.holds for check in checks) else NOTHING


def _file_of(paths: Paths) -> Path:
    return paths.config / "semantic_dedup.yaml"


if __name__ == "__main__":
    stop_when_asked()
    sys.exit(run(demo_dream, "demo-dream"))
