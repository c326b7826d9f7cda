"""`signal-tap trace`: why something happened, and what came of it."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from signals.journal import Journal
from tools.cli import home_option, paths_of, told
from tools.signal_tap import options
from tools.signal_tap.output import Output, painter
from tools.signal_tap.reading import resolve
from tools.signal_tap.rendering import Format
from tools.signal_tap.story import draw, steps


@click.command()
@click.argument("key", metavar="ID")
@options.formats()
@options.color
@home_option
@told
def trace(key: str, form: Format, color: str, home: Path | None) -> None:
    """Show the whole story of a signal as a tree of causes, with the latency of each step.

    ID is an id, its first 8 digits or more, or a sequence number as `show` prints it. Needs no running bus.
    As JSON: the envelopes of the story, then its dead letters.
    """
    paths = paths_of(home)
    output = Output()
    paint = painter(paths, output, color)
    with Journal(paths.journal) as journal:
        story_id, asked = resolve(journal, key)
        story = journal.story(story_id)
        dead = journal.dead_of(story_id)
    if form == "short":
        tree = steps(map(orjson.loads, story), dead)
        output.line(draw(tree, paint, orjson.loads(asked)["id"]))
        return
    show_one = paint.shower(form)
    for raw in story:
        output.line(show_one(raw))
    for letter in dead:
        output.line(show_one(orjson.dumps(paint.masker.letter(letter))))
