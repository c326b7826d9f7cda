"""`signal-tap dead`: what failed, why, and giving it another chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import orjson
from rich.table import Table

from signals.errors import LigandError, NotFoundError
from signals.journal import Journal
from tools.cli import NOTHING, OK, Failure, ask_bus, home_option, need_bus, told
from tools.signal_tap import options
from tools.signal_tap.letters import Wanted, name_of, wanted
from tools.signal_tap.lines import LEAST_FACTS, NAME_ROOM, NARROW, Segment, cut, painted
from tools.signal_tap.options import Look
from tools.signal_tap.output import View
from tools.text import clean, clean_lines, key_facts, shorten

Letter = dict[str, Any]
WAITING = ("dead",)
ALL = ("dead", "replayed", "dropped")


@click.group()
def dead() -> None:
    """List, show, replay and drop dead letters.

    Dead letters are signals that were refused or could not be handled.
    """


@dead.command("list")
@options.burying
@click.option("--all", "everything", is_flag=True, help="Also those that were replayed or dropped.")
@options.dated
@home_option
@told
def list_(letters: options.Letters, look: Look, *, everything: bool, home: Path | None) -> int:
    """List dead letters, oldest first. Needs no running bus."""
    view, choice = View.of(home, look), wanted(letters)
    count = 0
    with Journal(view.paths.journal) as journal:
        for letter in _chosen(journal, choice, ALL if everything else WAITING):
            count += 1
            masked = view.paint.masker.letter(letter)
            if look.form == "short":
                view.output.line(_line(view, masked))
            else:
                view.signals([orjson.dumps(masked)])
        if not count:
            view.notice(_nothing(journal, choice, everything=everything))
    return OK if count else NOTHING


def _nothing(journal: Journal, choice: Wanted, *, everything: bool) -> str:
    """What was searched, and how to search wider."""
    statuses = ALL if everything else WAITING
    count, more = (sum(1 for _ in journal.dead(which)) for which in (statuses, ALL))
    what = f"None of the {count} dead letters matches." if choice and count else "There are no dead letters."
    elsewhere = sum(1 for _ in _chosen(journal, choice, ALL)) if more > count else 0
    return f"{what} {elsewhere} that were replayed or dropped: --all." if elsewhere else what


def _chosen(journal: Journal, choice: Wanted, statuses: tuple[str, ...]) -> Iterator[Letter]:
    return (letter for letter in journal.dead(statuses) if choice.takes(letter))


def _line(view: View, letter: Mapping[str, Any]) -> str:
    status, width = letter.get("status"), view.output.width
    name = clean(name_of(letter)[:80]) or f"{letter.get('raw_bytes', 0)} bytes"
    who, moment = clean(letter.get("consumer") or letter.get("daemon")), view.paint.moment(letter.get("timestamp"))
    if width >= NARROW:
        head = f"{letter.get('dead_letter_id'):>5} {moment} {clean(letter.get('reason')):<18} {name:<26} {who:<20} "
    else:
        number = str(letter.get("dead_letter_id"))  # what `dead show` takes: it stays
        at = f" {moment}" if len(number) + len(moment) + NAME_ROOM + 2 <= width else ""
        head = f"{number}{at} {name} {clean(letter.get('reason'))} {who} "
    head += "" if status == "dead" else f"[{status}] "
    error = shorten(clean(str(letter.get("error"))[:2000]), max(width - len(head), LEAST_FACTS))
    line: list[Segment] = [(head + error, None)]
    return painted(cut(line, width if view.output.terminal else None), colour=False)


@dead.command("show")
@click.argument("number", type=click.IntRange(1, 2**63 - 1), metavar="NUMBER")
@options.dated
@home_option
@told
def show_(look: Look, *, number: int, home: Path | None) -> None:
    """Show one dead letter whole: reason, error, traceback, signal. Needs no running bus."""
    view = View.of(home, look)
    with Journal(view.paths.journal) as journal:
        letter = journal.dead_number(number)
    if letter is None:
        raise NotFoundError(
            f"There is no dead letter {number}. `signal-tap dead list --all` shows those that are kept."
        )
    masked = view.paint.masker.letter(letter)
    view.listed([masked], _page(masked))
    if look.form == "short" and masked.get("traceback"):
        view.output.line(clean_lines(masked["traceback"]))


def _page(letter: Any) -> Table:
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
        if letter.get(key) is not None:
            shown.add_row(key, clean(letter[key]))
    for key, value in _signal_rows(letter):
        shown.add_row(key, value)
    return shown


def _signal_rows(letter: Any) -> Iterator[tuple[str, str]]:
    signal = letter.get("signal")
    if not isinstance(signal, dict):
        yield "signal", f"{letter.get('raw_bytes', 0)} bytes that are not JSON"
        return
    for key, value in signal.items():
        if key != "facts":
            yield f"signal.{clean(key[:40])}", clean(str(value)[:500])
    yield "facts", key_facts(signal.get("facts"), 2000)


@dead.command()
@options.burying
@click.option("--dry-run", is_flag=True, help="Only say which.")
@home_option
@told
def replay(letters: options.Letters, *, dry_run: bool, home: Path | None) -> int:
    """Give dead letters another chance.

    To the consumer that failed, and to it alone; or as a new emit after a fresh check.

    \b
      signal-tap dead replay 7 8
      signal-tap dead replay --daemon investigator --reason poison -S -1d
    """
    return _each(home, "replay", "replayed", letters, dry_run)


@dead.command()
@options.burying
@click.option("--dry-run", is_flag=True, help="Only say which.")
@home_option
@told
def drop(letters: options.Letters, *, dry_run: bool, home: Path | None) -> int:
    """Take dead letters off the list for good.

    `list --all` and failed_signals.jsonl keep them for the record.
    """
    return _each(home, "drop", "dropped", letters, dry_run)


def _each(home: Path | None, verb: str, done: str, letters: options.Letters, dry_run: bool) -> int:
    choice = wanted(letters)
    if not choice:
        raise click.UsageError("Say which: numbers, names of signals, --daemon, --reason, -S or -U.")
    view = View.of(home, Look())
    if not dry_run:
        need_bus(view.paths)
    numbers = list(letters.numbers) if choice.by_number_alone else _numbers(view, choice)
    if not numbers:
        view.notice("No dead letter that waits matches; nothing was done. `signal-tap dead list` shows them.")
    refused = 0
    for number in numbers:
        if dry_run:
            view.output.line(f"would be {done}: {number}")
        else:
            refused += not _one(view, verb, done, number)
    return OK if numbers and not refused else NOTHING


def _numbers(view: View, choice: Wanted) -> list[int]:
    with Journal(view.paths.journal) as journal:
        return [letter["dead_letter_id"] for letter in _chosen(journal, choice, WAITING)]


def _one(view: View, verb: str, done: str, number: int) -> bool:
    try:
        ask_bus(view.paths, f"dead.{verb}", dead_letter_id=number)
    except LigandError as error:
        failure = Failure.of(error)
        if failure.exit_code > 2:
            raise
        view.notice(f"{number}: {failure.message}")
        return False
    view.output.line(f"{done} {number}")
    return True
