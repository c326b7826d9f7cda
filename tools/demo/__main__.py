"""`python -m tools.demo`, or `make demo`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from signals.catalogue import Catalogue
from signals.paths import Paths
from tools.cli import NOTHING, OK, run, told
from tools.demo import running
from tools.demo.checks import judge
from tools.demo.endings import stop_when_asked
from tools.demo.stories import Story, Watcher
from tools.demo.summary import heading, summary
from tools.signal_tap import options
from tools.signal_tap.following import Tail
from tools.signal_tap.output import Output, painter
from tools.signal_tap.rendering import Painter
from tools.signal_tap.selection import Selection

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
GIVEN_UP_S = 50.0
FILES = ("discover-json.json", "discover-phantom.json", "broken.json", "question.txt")


@click.command()
@click.option("--keep", is_flag=True, help="Leave the home where it is, to look around in it.")
@options.color
@told
def demo(*, keep: bool, color: str) -> int:
    """Run Ligand in a temporary home, ask it four things, and check what it says of them."""
    begun = time.monotonic()
    output = Output()
    with running.home(keep) as paths:
        paint = painter(paths, output, color)
        output.line(f"Starting the constellation in {paths.home}")
        with running.constellation(paths) as process:
            ready = running.await_ready(paths, process)
            output.line(f"Ready after {time.monotonic() - begun:.1f} s: {', '.join(ready)}")
            stories = tell_all(paths, paint, output, begun + GIVEN_UP_S)
        checks = judge(paths, *stories)
        for piece in summary(paths, paint, stories, checks, time.monotonic() - begun):
            output.line(piece)
        if keep:
            output.line(f"Kept in {paths.home}; look back with: signal-tap show --from first --home {paths.home}")
        return OK if all(check.holds for check in checks) else NOTHING


def tell_all(paths: Paths, paint: Painter, output: Output, deadline: float) -> list[Story]:
    """Drop each example after the story of the one before has ended; show what happens meanwhile."""
    stories = []
    with Tail(paths, Selection(), 0) as tail:
        watcher = Watcher(tail, Catalogue.load(), lambda raw: output.line(paint.short(raw)), deadline)
        watcher.step(Story(""))
        for name in FILES:
            output.line(heading(paint, f"Dropping {name}"))
            stories.append(watcher.tell(EXAMPLES / name, paths.intents))
    return stories


if __name__ == "__main__":
    stop_when_asked()
    sys.exit(run(demo, "demo"))
