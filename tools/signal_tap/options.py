"""The options that several verbs share, each declared once, and gathered into one object for the verb."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from tools.signal_tap.lines import STAMPS, Stamping
from tools.signal_tap.rendering import FORMATS, LISTED, Format

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which signals, as typed."""

    names: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    correlation: str | None = None
    grep: str | None = None
    where: tuple[str, ...] = ()
    start: str | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """When to stop, as typed."""

    limit: int | None = None
    idle: str | None = None
    at_end: bool = False
    strict: bool = False
    cursor_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How to show, as typed."""

    form: Format = "short"
    fields: str | None = None
    stamps: Stamping = "abs"
    utc: bool = False
    full: bool = False
    color: str = "auto"
    quiet: bool = False


def gathered(kind: type[Any], name: str, options: Sequence[Callable[[Any], Any]]) -> Callable[[F], F]:
    """A decorator that declares `options` and hands them to the function as one `kind` called `name`."""
    known = {field.name for field in fields(kind)}

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def called(**given: Any) -> Any:
            own = {key: given.pop(key) for key in list(given) if key in known}
            return function(**{name: kind(**own)}, **given)

        for option in reversed(options):
            option(called)
        return called  # type: ignore[return-value]

    return decorate


def formats(choices: Sequence[Format] = FORMATS, default: Format = "short") -> Callable[[F], F]:
    """`-o`."""
    return click.option(
        "-o", "--output", "form", type=click.Choice(choices), default=default, show_default=True, help="How to show."
    )


def color(function: F) -> F:
    """`--color`."""
    choice = click.Choice(("auto", "always", "never"))
    return click.option("--color", type=choice, default="auto", show_default=True, help="NO_COLOR is heeded too.")(
        function
    )


utc = click.option("--utc", is_flag=True, help="Times in UTC.")
quiet = click.option("-q", "--quiet", is_flag=True, help="No notices on standard error.")
_names = click.argument("names", nargs=-1, metavar="[NAME]...")
_choosing = (
    click.option("-x", "--exclude", metavar="GLOB", multiple=True, help="Not these signals; repeatable."),
    click.option("--source", "sources", metavar="GLOB", multiple=True, help="Only from these; repeatable."),
    click.option("--correlation", metavar="ID", help="Only the story of this signal (id, its beginning, or seq)."),
    click.option("-g", "--grep", metavar="REGEX", help="Only where the envelope's JSON matches; lower case: any case."),
    click.option(
        "--where",
        metavar="CONDITION",
        multiple=True,
        help="Such as 'facts.priority=high'; also != < <= > >= ~ (regex); repeatable.",
    ),
    click.option("-S", "--since", metavar="TIME", help="Not before: 10:30, yesterday, -15min, RFC 3339 …"),
    click.option("-U", "--until", metavar="TIME", help="Not after."),
    click.option(
        "--from", "start", metavar="SEQ", help="Begin at a sequence number, at 'first', or -N before the end."
    ),
)
choosing = gathered(Choice, "choice", (_names, *_choosing))
"""Names, story, source, content and time, as `choice`."""

_cursor_file = click.option(
    "--cursor-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Go on where the last run with this file ended, and note in it where this one does.",
)
_strict = click.option("--strict", is_flag=True, help="Stop when signals were missed (exit code 4).")
_limit = click.option("-c", "--count", "limit", type=click.IntRange(1), help="Stop after so many signals.")
ending = gathered(
    Ending,
    "ending",
    (
        _limit,
        click.option("-W", "--idle", metavar="TIME", help="Stop when none came for so long (exit code 27)."),
        click.option("-T", "--at-end", is_flag=True, help="Stop at the end of the journal; needs no running bus."),
        _strict,
        _cursor_file,
    ),
)
"""When to stop, as `ending`."""
resuming = gathered(Ending, "ending", (_limit, _strict, _cursor_file))
"""The part of `ending` that looking back has."""
limited = gathered(Ending, "ending", (_limit,))
"""The part of it that a file has."""


_stamps = click.option(
    "-t",
    "--stamps",
    type=click.Choice(STAMPS),
    default="abs",
    help="Short lines: the time, since the one before, or since the first.",
)
_fields = click.option("--fields", metavar="A.B,C", help="Only these fields, such as seq,signal,facts.text.")
_full = click.option("--full", is_flag=True, help="Cut nothing to the width of the terminal.")


def showing(choices: Sequence[Format] = FORMATS, default: Format = "short") -> Callable[[F], F]:
    """How to show signals, as `look`."""
    return gathered(Look, "look", (formats(choices, default), _fields, _stamps, utc, _full, color, quiet))


telling = gathered(
    Look,
    "look",
    (
        formats(LISTED),
        click.option("--fields", metavar="A.B,C", help="With -o json: only these fields, such as seq,facts.text."),
        utc,
        _full,
        color,
        quiet,
    ),
)
"""How to show a story, as `look`: a tree has times of its own."""
listing = gathered(Look, "look", (formats(LISTED), color, quiet))
"""How to show what is no signal, as `look`."""
dated = gathered(Look, "look", (formats(LISTED), utc, color, quiet))
"""The same where times of day are among it."""
plain = gathered(Look, "look", (formats(LISTED), quiet))
"""The same where nothing has a colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """Which dead letters, as typed."""

    which: tuple[str, ...] = ()
    daemons: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those of the arguments that are numbers."""
        return tuple(int(each) for each in self.which if each.isdecimal() and len(each) < 19)

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are names of signals."""
        return tuple(each for each in self.which if not (each.isdecimal() and len(each) < 19))


burying = gathered(
    Letters,
    "letters",
    (
        click.argument("which", nargs=-1, metavar="[NUMBER | NAME]..."),
        click.option("--daemon", "daemons", metavar="GLOB", multiple=True, help="Only of these; repeatable."),
        click.option("--reason", "reasons", metavar="REASON", multiple=True, help="Such as rejected; repeatable."),
        click.option("-S", "--since", metavar="TIME", help="Not older: 10:30, yesterday, -2h …"),
        click.option("-U", "--until", metavar="TIME", help="Not newer: -2h means at least two hours old."),
    ),
)
"""Which dead letters, as `letters`; NAME is a signal's name or a glob."""
