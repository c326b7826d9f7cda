"""`signal-tap dead`: what failed, why, and giving it another chance."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
import orjson
from rich.table import Table

from signals.errors import LigandError
from signals.journal import Journal
from signals.paths import Paths
from tools.cli import NOTHING, OK, Failure, ask_bus, home_option, need_bus, paths_of, told
from tools.signal_tap import options
from tools.signal_tap.output import Output, notice, painter
from tools.signal_tap.reading import NotFoundError
from tools.signal_tap.rendering import Format, short_time
from tools.text import clean, clean_lines, key_facts, shorten

Letter = dict[str, Any]
WAITING = ("dead",)
ALL = ("dead", "replayed", "dropped")


@click.group()
def dead() -> None:
    """Dead letters: signals that were refused or could not be handled."""


@dead.command("list")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--reason", metavar="REASON", help="Only of this reason, such as rejected or attempts_exhausted.")
@click.option("--all", "everything", is_flag=True, help="Also those that were replayed or dropped.")
@options.formats()
@options.color
@home_option
@told
def list_(
    *, names: tuple[str, ...], reason: str | None, everything: bool, form: Format, color: str, home: Path | None
) -> int:
    """List dead letters, oldest first. Needs no running bus. NAME is a signal's name or a glob."""
    paths = paths_of(home)
    output = Output()
    paint = painter(paths, output, color)
    count = 0
    with Journal(paths.journal) as journal:
        for letter in _selected(journal, names, reason, ALL if everything else WAITING):
            count += 1
            if form == "short":
                output.line(_line(letter, output.width))
            else:
                output.line(paint.shower(form)(orjson.dumps(paint.masker.letter(letter))))
    return OK if count else NOTHING


def _selected(
    journal: Journal, names: tuple[str, ...], reason: str | None, statuses: tuple[str, ...]
) -> Iterator[Letter]:
    for letter in journal.dead(statuses):
        if reason in (None, letter.get("reason")) and (
            not names or any(fnmatchcase(_name(letter), glob) for glob in names)
        ):
            yield letter


def _name(letter: Letter) -> str:
    signal = letter.get("signal")
    return str(signal.get("signal", "")) if isinstance(signal, dict) else ""


def _line(letter: Letter, width: int) -> str:
    status = letter.get("status")
    name = clean(_name(letter)[:80]) or f"{letter.get('raw_bytes', 0)} bytes"
    head = (
        f"{letter.get('dead_letter_id'):>5} {short_time(str(letter.get('timestamp')))} "
        f"{clean(letter.get('reason')):<18} {name:<26} {clean(letter.get('consumer') or letter.get('daemon')):<20} "
    )
    state = "" if status == "dead" else f"[{status}] "
    return head + state + shorten(clean(str(letter.get("error"))[:2000]), max(width - len(head) - len(state), 40))


@dead.command("show")
@click.argument("number", type=click.IntRange(1), metavar="NUMBER")
@options.formats()
@options.color
@home_option
@told
def show_(number: int, form: Format, color: str, home: Path | None) -> None:
    """Show one dead letter whole: reason, error, traceback, signal. Needs no running bus."""
    paths = paths_of(home)
    output = Output()
    paint = painter(paths, output, color)
    with Journal(paths.journal) as journal:
        letter = _find(journal, number)
    masked = paint.masker.letter(letter)
    if form != "short":
        output.line(paint.shower(form)(orjson.dumps(masked)))
        return
    shown = Table(box=None, pad_edge=False, show_header=False)
    shown.add_column(style="bold", no_wrap=True)
    shown.add_column(overflow="fold")
    for key in (
        "dead_letter_id",
        "status",
        "reason",
        "error",
        "daemon",
        "consumer",
        "attempts",
        "first_failed_at",
        "timestamp",
    ):
        if masked.get(key) is not None:
            shown.add_row(key, clean(masked[key]))
    for key, value in _signal_rows(masked):
        shown.add_row(key, value)
    output.line(paint.draw(shown))
    if masked.get("traceback"):
        output.line(clean_lines(masked["traceback"]))


def _signal_rows(letter: Any) -> Iterator[tuple[str, str]]:
    signal = letter.get("signal")
    if not isinstance(signal, dict):
        yield "signal", f"{letter.get('raw_bytes', 0)} bytes that are not JSON"
        return
    for key, value in signal.items():
        if key != "facts":
            yield f"signal.{clean(key[:40])}", clean(str(value)[:500])
    yield "facts", key_facts(signal.get("facts"), 2000)


def _find(journal: Journal, number: int) -> Letter:
    for letter in journal.dead(ALL):
        if letter["dead_letter_id"] == number:
            return letter
    raise NotFoundError(f"There is no dead letter {number}. `signal-tap dead list --all` shows those that are kept.")


@dead.command()
@click.argument("numbers", type=click.IntRange(1), nargs=-1, required=True, metavar="NUMBER...")
@home_option
@told
def replay(numbers: tuple[int, ...], home: Path | None) -> int:
    """Give dead letters another chance: to the consumer that failed, or as a new emit after a fresh check."""
    return _each(paths_of(home), "replay", "replayed", numbers)


@dead.command()
@click.argument("numbers", type=click.IntRange(1), nargs=-1, required=True, metavar="NUMBER...")
@home_option
@told
def drop(numbers: tuple[int, ...], home: Path | None) -> int:
    """Take dead letters off the list for good. `list --all` and failed_signals.jsonl keep them for the record."""
    return _each(paths_of(home), "drop", "dropped", numbers)


def _each(paths: Paths, verb: str, done: str, numbers: tuple[int, ...]) -> int:
    need_bus(paths)
    output, refused = Output(), 0
    for number in numbers:
        try:
            ask_bus(paths, f"dead.{verb}", dead_letter_id=number)
        except LigandError as error:
            failure = Failure.of(error)
            if failure.exit_code > 2:
                raise
            notice(f"{number}: {failure.message}")
            refused += 1
        else:
            output.line(f"{done} {number}")
    return NOTHING if refused else OK
