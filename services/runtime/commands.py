"""What the subcommands that daemons add to `ligand` share: their options, how errors and results are told."""

from __future__ import annotations

import errno
import functools
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from signals.errors import LigandError
from signals.terminal import clean, clean_lines, json_line

P = ParamSpec("P")
R = TypeVar("R")
OK, NOTHING, USAGE = 0, 1, 2
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

home_option = click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Ligand's folder; else LIGAND_HOME."
)


def _form(_: click.Context, __: click.Parameter, given: str) -> str:
    """`text` is what `short` was called before."""
    return "short" if given == "text" else given


form_option = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["short", "json", "text"]),
    metavar="[short|json]",
    default="short",
    callback=_form,
    help="For people, or one JSON object a line.",
)


class Failure(click.ClickException):
    """An error told to a person; 2 when what was given cannot be used, 3 when no bus answers, else 1."""

    def __init__(self, message: str, code: int = NOTHING) -> None:
        super().__init__(clean_lines(message))
        setattr(self, "exit_code", code)  # noqa: B010 - click declares it for the class, and reads it here


class Finite(click.FloatRange):
    """A number within bounds; neither `nan`, which is within any, nor `inf`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is no number to count with.", param, ctx)
        return found


def told(function: Callable[P, R]) -> Callable[P, R]:
    """Let a command end in a `Failure` where Ligand raises one of its errors, or the system forbids something
    or has no room."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except LigandError as error:
            raise Failure(error.message, error.exit_code) from error
        except PermissionError as error:
            raise Failure(f"{error.filename}: {error.strerror}. Run it as whoever may.") from error
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise Failure(f"{error.filename or 'Nothing was changed'}: {error.strerror}. Make room first.") from error

    return guarded


def say(*lines: str) -> None:
    """Lines for a person; what came from outside in them is shown, not obeyed."""
    for line in lines:
        click.echo(clean(line))


def say_json(found: Iterable[Any]) -> None:
    """One JSON object a line."""
    for each in found:
        click.echo(json_line(each))
