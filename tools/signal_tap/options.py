"""The options that several verbs share, each declared once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from tools.signal_tap.rendering import FORMATS

F = TypeVar("F", bound=Callable[..., Any])


def formats(choices: Sequence[str] = FORMATS) -> Callable[[F], F]:
    """`-o`."""
    return click.option("-o", "--output", "form", type=click.Choice(choices), default="short", help="How to show.")


def color(function: F) -> F:
    """`--color`."""
    choice = click.Choice(("auto", "always", "never"))
    return click.option("--color", type=choice, default="auto", show_default=True, help="NO_COLOR is heeded too.")(
        function
    )


def selecting(function: F) -> F:
    """Names, story, source and time."""
    for option in (
        click.option("-S", "--since", metavar="TIME", help="Not before: RFC 3339, or like -15min, -2h, -1d."),
        click.option(
            "--from", "start", metavar="SEQ", help="Begin at a sequence number, at 'first', or -N before the end."
        ),
        click.option("--source", "sources", metavar="GLOB", multiple=True, help="Only from these; repeatable."),
        click.option("--correlation", metavar="ID", help="Only the story of this signal (id, its beginning, or seq)."),
        click.argument("names", nargs=-1, metavar="[NAME]..."),
    ):
        function = option(function)
    return function
