"""`ligand map`: who talks to whom."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text
from rich.tree import Tree

from signals.errors import UsageError
from tools import talk
from tools.cli import NOTHING, OK, home_option, paths_of, told
from tools.ligand.listing import Form, output_option, say, say_json
from tools.talk import Talk, World

HOW = {"consumes": "", "listens": "  (live, may miss some)", "answer": "  (as an answer)"}


@click.command("map")
@click.argument("names", nargs=-1, metavar="[DAEMON | Q_NAME]...")
@click.option("--mermaid", "as_mermaid", is_flag=True, help="For Markdown.")
@click.option("--dot", "as_dot", is_flag=True, help="For Graphviz: ligand map --dot | dot -Tsvg > map.svg")
@output_option
@home_option
@told
def map_(*, names: tuple[str, ...], as_mermaid: bool, as_dot: bool, form: Form, home: Path | None) -> int:
    """Show who talks to whom, or only what NAME takes part in.

    From manifests and contracts, yours among them.

    Needs no running bus: it tells what may be said. `signal-tap` shows what is said.
    """
    paths = paths_of(home)
    world = talk.load(paths.manifests, paths.contracts)
    _known(world, names)
    talks = talk.only(world.talks, names)
    if form == "json":
        say_json(map(asdict, talks))
    elif as_mermaid or as_dot:
        click.echo(talk.mermaid(talks) if as_mermaid else talk.dot(talks), nl=False)
    else:
        say(_tree(world, talks, names))
    return OK if talks else NOTHING


def _known(world: World, names: Sequence[str]) -> None:
    known = [*world.manifests, *world.catalogue, talk.PEOPLE]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Daemons: {', '.join(sorted(world.manifests))}."
            raise UsageError(f"{name!r} is neither a daemon nor a signal. {hint}")


def _tree(world: World, talks: Sequence[Talk], names: Sequence[str]) -> Tree:
    """Each speaker, its signals, and who hears them."""
    tree = Tree("who talks to whom", guide_style="bright_black", highlight=False)
    for speaker in sorted({each.speaker for each in talks}):
        manifest = world.manifests.get(speaker)
        label = Text(speaker, style="bold")
        label.append(f"  {manifest.description}" if manifest else "", style="bright_black")
        branch = tree.add(label)
        for signal in sorted({each.signal for each in talks if each.speaker == speaker}):
            leaf = branch.add(Text(signal, style="cyan"))
            for each in talks:
                if (each.speaker, each.signal) == (speaker, signal):
                    leaf.add(Text(f"-> {each.hearer}").append(HOW[each.how], style="bright_black"))
    if not talks and names:
        tree.add(Text(f"nobody hears from or speaks to {', '.join(names)}", style="bright_black"))
    return tree
