"""What the subcommands that daemons add to `ligand` share: their options, how errors and results are told."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from signals.errors import LigandError
from signals.terminal import clean, clean_lines, json_line

P = ParamSpec("P")
R = TypeVar("R")
OK, NOTHING, USAGE = 0, 1, 2

home_option = click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Ligand's folder; else LIGAND_HOME."
)


class Form(click.Choice[str]):
    """How a command shows what it found; `text` is what `short` was called before."""

    def __init__(self) -> None:
        super().__init__(["short", "json"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert("short" if value == "text" else value, param, ctx)


form_option = click.option(
    "-o", "--output", "form", type=Form(), default="short", help="For people, or one JSON object a line."
)


class Failure(click.ClickException):
    """An error told to a person; 2 when what was given cannot be used, 3 when no bus answers, else 1."""

    def __init__(self, message: str, code: int = NOTHING) -> None:
        super().__init__(clean_lines(message))
        setattr(self, "exit_code", code)  # noqa: B010 - click declares it for the class, and reads it here


def told(function: Callable[P, R]) -> Callable[P, R]:
    """Let a command end in a `Failure` where Ligand raises one of its errors, or the system forbids something."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except LigandError as error:
            raise Failure(error.message, error.exit_code) from error
        except PermissionError as error:
            raise Failure(f"{error.filename}: {error.strerror}. Run it as whoever may.") from error

    return guarded


def say(*lines: str) -> None:
    """Lines for a person; what came from outside in them is shown, not obeyed."""
    for line in lines:
        click.echo(clean(line))


def say_json(found: Iterable[Any]) -> None:
    """One JSON object a line."""
    for each in found:
        click.echo(json_line(each))
