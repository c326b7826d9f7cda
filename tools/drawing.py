"""Tables and trees of rich as plain text, or coloured when that is wanted; tables that fit any terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

LEAST = 40
"""Narrower than this rich would leave out columns of a plain table, whichever; a terminal that is breaks the lines."""
NARROWEST = 10
"""The same for what fits itself to the terminal."""
FOLDED = 20
BETWEEN = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a `Listing`. The higher its `rank` the sooner it is left out; 0 is what a row is about, and stays."""

    heading: str
    rank: int = 0
    right: bool = False
    folds: bool = False


class Listing:
    """A table; where the terminal is too narrow for all of its columns, those that matter least are left out."""

    def __init__(self, *columns: Column) -> None:
        self._columns = columns
        self._rows: list[tuple[str | Text, ...]] = []

    def add(self, *cells: str | Text) -> None:
        """Add a row."""
        self._rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._table(
            fitting([(self._width(n), one.rank) for n, one in enumerate(self._columns)], options.max_width)
        )

    def _width(self, nth: int) -> int:
        column = self._columns[nth]
        widest = max(map(cell_len, (column.heading, *(str(row[nth]) for row in self._rows))))
        return min(widest, FOLDED) if column.folds else widest

    def _table(self, kept: Sequence[int]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in (self._columns[nth] for nth in kept):
            table.add_column(
                column.heading,
                justify="right" if column.right else "left",
                no_wrap=not column.folds,
                overflow="fold" if column.folds else "ellipsis",
            )
        for row in self._rows:
            table.add_row(*(row[nth] for nth in kept))
        return table


def fitting(parts: Sequence[tuple[int, int]], width: int, between: int = BETWEEN) -> list[int]:
    """Which of some parts, each (columns, rank), fit side by side into `width`: the highest ranks are left out."""
    kept = list(range(len(parts)))
    while sum(parts[n][0] + between for n in kept) - between > width:
        last = max(kept, key=lambda n: parts[n][1])
        if not parts[last][1]:
            break
        kept.remove(last)
    return kept


class Screen(Group):
    """Parts one below the other that all fit any terminal."""


def drawn(renderable: RenderableType, *, colour: bool, width: int) -> str:
    """The lines of a table or tree, without spaces at their ends."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=max(width, NARROWEST if isinstance(renderable, Listing | Screen | Text) else LEAST),
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
