"""What to say when nothing matched: what was searched, and how to search wider. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tools.signal_tap.options import Choice


@dataclass(frozen=True, slots=True)
class Searched:
    """The sequence numbers that were searched, those that are kept, and the names of signals (`live`: never kept)."""

    first: int
    upto: int
    kept_first: int
    head: int
    known: Collection[str]
    live: Collection[str]


def advice(choice: Choice, searched: Searched) -> str:
    """Why nothing was shown, in one or two sentences."""
    hints = [*_about_names(choice, searched), *_about_span(searched), *_about_filters(choice)]
    return " ".join([_what(searched), *hints])


def _what(searched: Searched) -> str:
    count = searched.upto - searched.first + 1
    if count > 0:
        return f"Nothing matched among #{searched.first} to #{searched.upto}."
    if not searched.known:
        return "Nothing is kept in the journal."
    return f"Nothing lies there; kept are #{searched.kept_first} to #{searched.head}."


def _about_names(choice: Choice, searched: Searched) -> Iterator[str]:
    for glob in choice.names:
        if any(fnmatchcase(name, glob) for name in searched.known):
            continue
        if any(fnmatchcase(name, glob) for name in searched.live):
            yield f"{glob} is live and never journaled: `signal-tap follow --live {glob}`."
            continue
        near = difflib.get_close_matches(glob, searched.known, n=1)
        meant = f"Did you mean {near[0]}?" if near else "`signal-tap types` lists what is."
        yield f"No {glob} is kept. {meant}"


def _about_span(searched: Searched) -> Iterator[str]:
    if not searched.known:
        return
    if searched.first > searched.kept_first:
        yield "Further back: --from first."
    if searched.upto < searched.head:
        yield "Later ones: leave -U out."


def _about_filters(choice: Choice) -> Iterator[str]:
    typed = {
        "-x": choice.exclude,
        "--source": choice.sources,
        "--correlation": choice.correlation,
        "-g": choice.grep,
        "--where": choice.where,
    }
    narrowing = [option for option, value in typed.items() if value]
    if narrowing:
        yield f"{', '.join(narrowing)} narrowed it further."
