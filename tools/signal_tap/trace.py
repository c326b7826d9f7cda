"""`signal-tap trace`: why something happened, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from signals.journal import Journal
from signals.lookup import resolve
from tools.cli import home_option, told
from tools.signal_tap import graph, options
from tools.signal_tap.measures import unix
from tools.signal_tap.options import Look
from tools.signal_tap.output import View
from tools.signal_tap.story import draw, steps

Letter = dict[str, Any]


@click.command()
@click.argument("key", metavar="ID|Q_NAME")
@click.option("--mermaid", "drawing", flag_value="mermaid", help="As a Mermaid flowchart.")
@click.option("--dot", "drawing", flag_value="dot", help="As a Graphviz graph.")
@options.telling
@home_option
@told
def trace(look: Look, *, key: str, drawing: str | None, home: Path | None) -> None:
    """Show the story of a signal as a tree of causes.

    Each step with its latency. Dead letters, refused emits and what a policy held back stand in their places.
    ID is an id, its first 8 digits or more, or a sequence number as `show` prints it; Q_NAME is the newest signal of
    that name. Needs no running bus. As JSON: the envelopes of the story, then its dead letters.
    """
    if drawing and look.form != "short":
        raise click.UsageError(f"--{drawing} and -o {look.form} are two ways to show it; choose one.")
    if look.fields is not None and look.form == "short":
        raise click.UsageError("A tree has fields of its own: --fields goes with -o json.")
    view = View.of(home, look)
    with Journal(view.paths.journal) as journal:
        story_id, asked = resolve(journal, key)
        story = journal.story(story_id)
        dead = [view.paint.masker.letter(letter) for letter in dead_letters(journal, story_id, story)]
    if look.form != "short":
        view.signals(story)
        view.signals(map(orjson.dumps, dead))
        return
    roots = steps(map(orjson.loads, story), dead)
    if drawing:
        view.output.line(graph.mermaid(roots) if drawing == "mermaid" else graph.dot(roots))
    else:
        view.output.line(draw(roots, view.paint, orjson.loads(asked)["id"]))


def dead_letters(journal: Journal, story_id: str, story: Sequence[bytes]) -> list[Letter]:
    """The dead letters of a story: what its consumers could not handle, and what was refused in it."""
    envelopes = [orjson.loads(raw) for raw in story]
    ids = {envelope["id"] for envelope in envelopes}
    began = min((unix(envelope.get("received_at")) or 0.0 for envelope in envelopes), default=0.0)
    refused = [
        letter
        for letter in journal.dead_refused(int(began * 1e6))
        if isinstance(letter.get("signal"), dict) and letter["signal"].get("causation_id") in ids
    ]
    found = {letter["dead_letter_id"]: letter for letter in [*journal.dead_of(story_id), *refused]}
    return [found[number] for number in sorted(found)]
