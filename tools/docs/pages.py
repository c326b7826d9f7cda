"""Which documents are generated, and their texts."""

from __future__ import annotations

from pathlib import Path

from signals.errors import LigandError
from tools import talk
from tools.docs.asyncapi import asyncapi
from tools.docs.signals_page import signals_page
from tools.talk import World

BEGIN = "<!-- who talks to whom: made by `make docs` -->"
END = "<!-- end of who talks to whom -->"


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
    return f"{before}{BEGIN}\n\n```mermaid\n{talk.mermaid(world.talks)}```\n\n{END}{after}"
