"""Tables and trees of rich as plain text, or coloured when that is wanted."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType

LEAST = 40
"""Narrower than this rich would leave whole columns out; a terminal that is breaks the lines."""


def drawn(renderable: RenderableType, *, colour: bool, width: int) -> str:
    """The lines of a table or tree, without spaces at their ends."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=max(width, LEAST),
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
