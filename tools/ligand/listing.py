"""How `ligand` lists things: for people, or one JSON object a line."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

import click
from rich.console import RenderableType

from tools.cli import coloured
from tools.drawing import drawn
from tools.text import json_line

F = TypeVar("F", bound=Callable[..., Any])
Form = Literal["short", "json"]
WIDE = 160


def output_option(function: F) -> F:
    """`-o`."""
    return click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(("short", "json")),
        default="short",
        help="For people, or one JSON object a line.",
    )(function)


def say_json(found: Iterable[Any]) -> None:
    """One object a line."""
    for each in found:
        click.echo(json_line(each))


def say(*parts: RenderableType) -> None:
    """What people see: coloured and as wide as the terminal, plain in a pipe."""
    is_terminal = sys.stdout.isatty()
    for part in parts:
        click.echo(drawn(part, colour=coloured("auto", is_terminal), width=width()), color=True)


def width() -> int:
    """Columns of the terminal; wide enough for a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE


def notice(text: str) -> None:
    """Say something that is no data."""
    click.echo(text, err=True)
