"""Which documents are generated, and their texts."""

from __future__ import annotations

from pathlib import Path

from services.runtime.manifest import Subscription
from signals.errors import LigandError
from tools import talk
from tools.docs.asyncapi import asyncapi
from tools.docs.signals_page import signals_page
from tools.talk import World

BEGIN = "<!-- who talks to whom: made by `make docs` -->"
END = "<!-- end of who talks to whom -->"
EVERY = Subscription("Q_*")


class MarkerError(LigandError):
    """A document lacks the markers between which a part of it is generated."""


def made(root: Path) -> dict[Path, str]:
    """Every generated document below `root` and what should stand in it. Raises `MarkerError`."""
    world = talk.load()
    readme = root / "README.md"
    return {
        root / "docs" / "signals.md": signals_page(world),
        root / "docs" / "asyncapi.yaml": asyncapi(world),
        readme: with_graph(readme.read_text(encoding="utf-8"), world),
    }


def with_graph(text: str, world: World) -> str:
    """The text with the present graph between its markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise MarkerError(f"README.md needs the lines {BEGIN} and {END}, one after the other.")
    return f"{before}{BEGIN}\n\n{_graph(world)}\n{END}{after}"


def _graph(world: World) -> str:
    """A picture that can be read: what reaches everybody, or who hears everything, is said instead of drawn."""
    all_ears = [name for name, it in world.manifests.items() if EVERY in it.consumes]
    talks = [each for each in world.talks if each.hearer not in all_ears]
    reached = {each.signal: [name for name, _ in world.hearers(each.signal) if name not in all_ears] for each in talks}
    to_all = [signal for signal, names in reached.items() if len(names) > len(world.manifests) / 2]
    drawn = talk.mermaid(each for each in talks if each.signal not in to_all)
    said = [f"`{name}` hears every signal" for name in sorted(all_ears)]
    said += [f"`{signal}` reaches {len(reached[signal])} daemons" for signal in sorted(to_all)]
    return f"```mermaid\n{drawn}```\n" + (f"\nNot drawn: {', and '.join(said)}.\n" if said else "")
