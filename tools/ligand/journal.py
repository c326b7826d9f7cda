"""`ligand journal`: what it holds, making it smaller, copying it out, putting a copy back, and saving a damaged one."""

from __future__ import annotations

import gzip
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click
import orjson
from rich.table import Table

from services.runtime import restoring
from services.runtime.commands import Finite
from signals.catalogue import Catalogue
from signals.errors import ConfigError, LigandError, UsageError
from signals.journal import Journal, letters_in
from signals.masking import Masker
from signals.paths import Paths
from tools.cli import NOTHING, OK, TIMED_OUT, ask_bus, home_option, paths_of, told
from tools.ligand import backup as backups
from tools.ligand import configuring
from tools.ligand import salvage as salvaging
from tools.ligand.listing import Form, notice, output_option, say, say_json
from tools.ligand.salvaged import words
from tools.progress import progress
from tools.signal_tap.rates import bytes_text
from tools.signal_tap.reading import pages
from tools.signal_tap.selection import Selection, names_of
from tools.signal_tap.times import moment_s
from tools.text import clean, seconds_text

LISTED = 15
PRUNE_S = 60.0
DAY_S = 86_400


@click.group()
def journal() -> None:
    """The journal: what it holds, making room, back-up, export."""


# -- stats -------------------------------------------------------------------------------------------


@journal.command()
@output_option
@home_option
@told
def stats(*, form: Form, home: Path | None) -> None:
    """Show what the journal holds and how large it is. Needs no running bus."""
    paths = paths_of(home)
    found = _stats(paths)
    if form == "json":
        say_json([found])
        return
    say(_overview(found), "", _names_table(found))


def _stats(paths: Paths) -> dict[str, Any]:
    with Journal(paths.journal) as kept:
        names = kept.names()
        first, head = kept.first(), kept.head()
        dead: dict[str, int] = {}
        for letter in kept.dead():
            dead[letter["reason"]] = dead.get(letter["reason"], 0) + 1
        return {
            "journal": str(paths.journal),
            "bytes": paths.journal.stat().st_size,
            "wal_bytes": _size(paths.journal.with_name("journal.db-wal")),
            "budget_bytes": configuring.effective(paths, "bus")[0]["retention"]["bytes"],
            "dead_letters_bytes": _size(paths.dead_letters),
            "signals": sum(names.values()),
            "first": {"seq": first, "received_at": _received(kept, first)},
            "last": {"seq": head, "received_at": _received(kept, head)},
            "names": dict(sorted(names.items(), key=lambda item: (-item[1], item[0]))),
            "dead_letters": dead,
            "consumers": [
                {
                    "consumer": row.consumer,
                    "cursor": row.cursor,
                    "behind": max(0, head - row.cursor),
                    "aside": row.aside,
                }
                for row in kept.consumers()
            ],
        }


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _received(kept: Journal, seq: int) -> str | None:
    raws = kept.get(seq)
    return str(orjson.loads(raws[0])["received_at"]) if raws else None


def _overview(found: dict[str, Any]) -> Table:
    shown = Table(box=None, pad_edge=False, show_header=False)
    shown.add_column(no_wrap=True, style="bold")
    shown.add_column(overflow="fold")
    first, last = found["first"], found["last"]
    used = f"{found['bytes'] / 1e6:.1f} of {found['budget_bytes'] / 1e6:.0f} MB"
    shown.add_row("journal", found["journal"])
    shown.add_row("size", f"{used}, write-ahead log {found['wal_bytes'] / 1e6:.1f} MB")
    shown.add_row("signals", f"{found['signals']} (#{first['seq']} to #{last['seq']})")
    shown.add_row("from", str(first["received_at"]))
    shown.add_row("to", str(last["received_at"]))
    dead = ", ".join(f"{count} {clean(reason)}" for reason, count in found["dead_letters"].items())
    shown.add_row("dead letters", dead or "none")
    slow = [row for row in found["consumers"] if row["aside"]]
    shown.add_row("set aside", ", ".join(f"{row['aside']} for {clean(row['consumer'])}" for row in slow) or "nothing")
    return shown


def _names_table(found: dict[str, Any]) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("SIGNAL", no_wrap=True)
    shown.add_column("KEPT", justify="right")
    names = list(found["names"].items())
    for name, count in names[:LISTED]:
        shown.add_row(clean(name), str(count))
    if len(names) > LISTED:
        shown.add_row(f"… {len(names) - LISTED} more", str(sum(count for _, count in names[LISTED:])))
    return shown


# -- prune -------------------------------------------------------------------------------------------


@journal.command()
@click.option("--before", metavar="TIME", help="RFC 3339, or like -15min, -2h, -7d.")
@click.option("--keep-days", type=Finite(0, 36_500), help="The same, in days before now.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and prune nothing.")
@home_option
@told
def prune(*, before: str | None, keep_days: float | None, dry_run: bool, home: Path | None) -> int:
    """Let the bus forget older signals that no consumer needs.

    Those from before a time; its retention stays as it is.

    Says how many went and how much room that made, how many stay, and who still needs them. Exit code 27: the bus
    is still at it; it goes on by itself.
    """
    if (before is None) == (keep_days is None):
        raise UsageError("Say up to when: --before TIME or --keep-days N.")
    now = time.time()
    before_s = moment_s(before, now) if before is not None else now - float(keep_days or 0) * DAY_S
    if before_s > now:
        raise UsageError(f"--before {before} lies in the future.")
    paths = paths_of(home)
    with Journal(paths.journal) as kept:
        first, upto = kept.first(), kept.seq_at(int(before_s * 1e6)) - 1
        count, size = kept.extent(first, upto)
        if dry_run:
            click.echo(f"{count} signals are from before then, {bytes_text(size)}; what a consumer needs would stay")
            return OK
        used = int(ask_bus(paths, "status")["journal_bytes"])
        free_to = int(ask_bus(paths, "prune", before_us=int(before_s * 1e6))["not_needed_upto"])
        goal = min(upto, free_to)
        if not _await_pruned(kept, first, goal):
            return TIMED_OUT
        stay, _ = kept.extent(first, upto)
    _tell_pruned(paths, count - stay, stay, used)
    return OK


def _await_pruned(kept: Journal, first: int, goal: int) -> bool:
    """Whether the bus was done with it in time."""
    deadline = time.monotonic() + PRUNE_S
    with progress("pruning", max(goal - first + 1, 1)) as advance:
        while 0 < (now_first := kept.first()) <= goal:
            advance(now_first - first)
            if time.monotonic() > deadline:
                notice(f"The bus is at #{now_first} of #{goal}, and goes on by itself.")
                return False
            time.sleep(0.05)
    return True


def _tell_pruned(paths: Paths, gone: int, stay: int, used: int) -> None:
    status, consumers = ask_bus(paths, "status"), ask_bus(paths, "consumers")
    now = int(status["journal_bytes"])
    click.echo(f"pruned {gone} signals; {bytes_text(max(0, used - now))} freed, {bytes_text(now)} in use")
    if stay:
        who = [f"{each['consumer']} ({each['lag']})" for each in consumers if _needs(each)]
        why = f"still needed by {', '.join(who)}" if who else "still needed by requests that wait for their answer"
        notice(f"{stay} from before then stay: {why}. See `signal-tap consumers`.")


def _needs(consumer: dict[str, Any]) -> bool:
    return bool(consumer["lag"] or consumer["aside"] or consumer["in_hand"])


# -- export ------------------------------------------------------------------------------------------


@journal.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("-S", "--since", metavar="TIME", help="Not before: RFC 3339, or like -15min, -2h, -1d.")
@click.option("-U", "--until", metavar="TIME", help="Not after.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@home_option
@told
def export(
    *, file: Path, names: tuple[str, ...], since: str | None, until: str | None, force: bool, home: Path | None
) -> int:
    """Write kept signals to FILE, one envelope a line.

    FILE - is standard output; one that ends in .gz is compressed.

    NAME may be a glob. What contracts mark as secret is masked. Needs no running bus.
    """
    paths, now = paths_of(home), time.time()
    masker = Masker(Catalogue.load([paths.contracts]).versions.values(), letters_in(paths.journal))
    selection = Selection(names_of(names))
    with Journal(paths.journal) as kept, _writing(file, force) as out:
        head, first = kept.head(), kept.first()
        after = (kept.seq_at(int(moment_s(since, now) * 1e6)) if since is not None else first) - 1
        upto = kept.seq_at(int(moment_s(until, now) * 1e6) + 1) - 1 if until is not None else head
        count = 0
        with progress("exporting", max(upto - after, 1)) as advance:
            for page in pages(kept, selection, after, upto):
                out.writelines(masker.raw(raw) + b"\n" for _, raw in page.rows)
                count += len(page.rows)
                if page.pruned is not None:
                    notice(f"{page.pruned[0]} to {page.pruned[1]} were past their retention before they were read")
                advance(page.looked - after)
    notice(f"{count} signals{'' if str(file) == '-' else f' in {file}'}")
    return OK if count else NOTHING


@contextmanager
def _writing(file: Path, force: bool) -> Iterator[BinaryIO]:
    """Standard output, or a file that is there whole or not at all."""
    if str(file) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if file.exists() and not force:
        raise UsageError(f"{file} is there already. Name another, or say --force.")
    beside = file.with_name(f".{file.name}.part")
    try:
        with beside.open("wb") as raw:
            beside.chmod(0o600)
            if file.suffix == ".gz":
                with gzip.open(raw, "wb") as packed:
                    yield packed  # type: ignore[misc] # a GzipFile is one in all that is used here
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        beside.replace(file)
    except OSError as error:
        raise ConfigError(f"Cannot write {file}: {error.strerror}. Choose another place.") from error
    finally:
        beside.unlink(missing_ok=True)


# -- backup and restore ------------------------------------------------------------------------------


@journal.command()
@click.argument("folder", type=click.Path(path_type=Path))
@output_option
@home_option
@told
def backup(*, folder: Path, form: Form, home: Path | None) -> None:
    """Copy journal and dead letters into a new FOLDER.

    As of one instant; the bus may run.

    Daemons' own files and the configuration are ordinary files; copy them as such.
    """
    begun = time.monotonic()
    found = backups.backup(paths_of(home), folder.absolute())
    if form == "json":
        say_json([found.as_json()])
        return
    click.echo(_words(found))
    notice(f"took {seconds_text(time.monotonic() - begun)}")


@journal.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--check", "only_check", is_flag=True, help="Only say whether FOLDER could be restored.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@home_option
@told
def restore(*, folder: Path, only_check: bool, yes: bool, home: Path | None) -> int:
    """Put the backup in FOLDER in the journal's place. Refused while a bus runs; FOLDER is checked first.

    What is there now is moved into a folder beside it and kept.
    """
    paths, source = paths_of(home), folder.absolute()
    if only_check:
        click.echo(_words(backups.verify(source)))
        return OK
    if not yes:
        _confirm(paths, backups.read(source))
    if (earlier := restoring.pending(paths.journal.parent)) is not None:
        notice(f"A restore was interrupted here; it is finished first. What was there before it: {earlier}")
    found, kept = backups.restore(paths, source)
    click.echo(f"restored {_words(found)}")
    if kept is not None:
        click.echo(f"what was there before: {kept}")
    return OK


# -- salvage -----------------------------------------------------------------------------------------


@journal.command()
@click.option("--dry-run", is_flag=True, help="Say what could be kept, and change nothing.")
@output_option
@home_option
@told
def salvage(*, dry_run: bool, form: Form, home: Path | None) -> None:
    """Make a new journal of all that a damaged one still holds. Refused while a bus runs.

    What is damaged is kept in a folder beside it, as it is. Where there is a fresh backup, compare: `restore` gives
    back an instant whole, this the latest with holes.
    """
    found = salvaging.salvage(paths_of(home), dry_run=dry_run)
    if form == "json":
        say_json([found.as_json()])
        return
    for line in words(found):
        click.echo(line)


def _confirm(paths: Paths, found: backups.Backup) -> None:
    if not sys.stdin.isatty():
        raise UsageError("Nobody can be asked here. Say --yes to put the backup in the journal's place.")
    head = 0
    if paths.journal.exists():
        try:
            with Journal(paths.journal) as kept:
                head = kept.head()
        except LigandError as error:
            notice(error.message)
    click.confirm(
        f"The journal at {paths.journal} is at #{head}; the backup of {found.at} ends at #{found.head}. Restore it?",
        abort=True,
        err=True,
    )


def _words(found: backups.Backup) -> str:
    return (
        f"{found.folder}: {found.signals} signals to #{found.head}, {found.dead_letters} dead letters, "
        f"{found.bytes / 1e6:.1f} MB, as of {found.at}"
    )
