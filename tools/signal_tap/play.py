"""`signal-tap play`: hear a recording again."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import click

from services.runtime.commands import Finite
from signals.catalogue import Catalogue
from signals.emitter import Emitter, person
from signals.envelope import Signal, encode, rfc3339
from signals.errors import BusUnreachableError, ConflictError, LigandError, UsageError
from signals.ids import is_id, uuid7
from signals.journal import Journal
from tools.cli import NOTHING, OK, home_option, need_bus, told
from tools.leaving import in_order
from tools.signal_tap import options, scratch
from tools.signal_tap.choosing import Chosen, chosen
from tools.signal_tap.masked import of_recordings
from tools.signal_tap.options import Choice, Ending, Look
from tools.signal_tap.output import View
from tools.signal_tap.playing import Anew, Envelope, Replica, batches, moment
from tools.signal_tap.recordings import STANDARD, envelopes, story_of

AT_ONCE = 200


@click.command()
@click.argument("file", metavar="FILE")
@options.choosing
@options.limited
@click.option("--to", "kept", type=click.Path(path_type=Path, file_okay=False), help="Keep the scratch home here.")
@click.option("--live", is_flag=True, help="To the running bus: intents, advisories and sensors only, as yourself.")
@click.option("-r", "--rate", type=Finite(1e-6), help="So many a second; else all at once.")
@click.option("--original", is_flag=True, help="With the pauses between them as recorded.")
@click.option("--dry-run", is_flag=True, help="Show what would be played, and play nothing.")
@options.showing()
@home_option
@told
def play(
    choice: Choice,
    ending: Ending,
    look: Look,
    *,
    file: str,
    kept: Path | None,
    live: bool,
    rate: float | None,
    original: bool,
    dry_run: bool,
    home: Path | None,
) -> int:
    """Play a recording to a scratch bus.

    FILE is what `record` wrote; - is standard input. What the bus journals is shown. The scratch bus has a
    temporary home of its own, with your contracts and no daemons: the same ids, causes, facts and times, said
    by person@SOURCE; secrets stay masked. With --to the home is kept, to look around in:

    \b
      signal-tap play FILE --to /tmp/again
      signal-tap trace 12 --home /tmp/again

    With --live nothing but intents, advisories and sensors is played, under new ids, as you, tainted `recording`.
    Exit code 1: nothing was played, or the bus refused some.
    """
    if rate and original:
        raise click.UsageError("--rate and --original are two ways of timing; choose one.")
    if live and kept:
        raise click.UsageError("--live plays to the running bus; --to keeps a scratch one.")
    view = View.of(home, look)
    found = chosen(_with_story(choice, file), view.paint.masker)
    if found.start.back is not None:
        raise UsageError("A recording is read from its beginning: --from takes a sequence number here, not -N.")
    player = _Player(view, rate, original)
    made = _maker(view, live)
    view.head()
    played = islice(made.signals(_recorded(file, found)), ending.limit)
    if dry_run:
        player.pretend(made.catalogue, played)
    elif live:
        need_bus(view.paths)
        with Journal(view.paths.journal) as journal:
            player.play(Emitter(view.paths.bus_socket), journal, played)
    else:
        with in_order(), scratch.home(kept) as paths:
            scratch.prepare(paths, view.paint.catalogue)
            with scratch.bus(paths), Journal(paths.journal) as journal:
                player.play(Emitter(paths.bus_socket, timeout_s=30.0), journal, played)
    _sum_up(view, player, made, kept, dry_run=dry_run)
    return OK if player.played and not player.refused else NOTHING


def _with_story(choice: Choice, file: str) -> Choice:
    """The choice with the whole id of a story that was named otherwise. Raises `NotFoundError`, `UsageError`."""
    key = choice.correlation
    if key is None:
        return choice
    if file == STANDARD:
        if is_id(key):
            return choice
        raise UsageError("Standard input is read once: give the whole id of the story to --correlation.")
    return replace(choice, correlation=story_of(key, file))


def _maker(view: View, live: bool) -> Replica | Anew:
    if not live:
        return Replica(of_recordings(view.paint.catalogue))
    host = socket.gethostname() or "localhost"
    return Anew(view.paint.catalogue, person(), host, lambda: rfc3339(time.time()), uuid7)


def _recorded(file: str, found: Chosen) -> Iterator[Envelope]:
    for _, envelope in envelopes(file):
        seq, at = envelope.get("seq"), moment(envelope)
        if found.start.seq is not None and isinstance(seq, int) and seq < found.start.seq:
            continue
        if found.start.since_us is not None and at is not None and at * 1e6 < found.start.since_us:
            continue
        if found.until_us is not None and at is not None and at * 1e6 > found.until_us:
            continue
        if found.selection.takes(envelope):
            yield envelope


def _sum_up(view: View, player: _Player, made: Replica | Anew, kept: Path | None, *, dry_run: bool) -> None:
    view.notice(f"{player.played:,} signals {'would be ' if dry_run else ''}played")
    if made.skipped:
        view.notice(
            f"{made.skipped:,} left out: only intents, advisories and sensors without masked secrets are played live"
        )
    if made.adrift:
        view.notice(f"{made.adrift:,} begin stories of their own: what caused them is not in the recording")
    if player.refused:
        view.notice(f"{player.refused:,} {'would be ' if dry_run else ''}refused by the bus")
    if kept and not dry_run:
        view.notice(f"The scratch home is kept: signal-tap show --from first --home {kept}")


class _Player:
    """Emits at the times that were asked for, and shows what came of it."""

    def __init__(self, view: View, rate: float | None, original: bool) -> None:
        self._view = view
        self._rate = rate
        self._original = original
        self._began = time.monotonic()
        self._first: float | None = None
        self.played = 0
        self.refused = 0

    def play(self, emitter: Emitter, journal: Journal, played: Iterator[tuple[Envelope, Signal]]) -> None:
        """Play it all. What the bus refuses is told and passed over. Raises `BusUnreachableError`."""
        self._began = time.monotonic()
        with contextlib.closing(emitter):
            for batch in batches(played, 1 if self._rate or self._original else AT_ONCE):
                self._await(batch[0][0])
                self._emit(emitter, journal, [signal for _, signal in batch])

    def pretend(self, catalogue: Catalogue, played: Iterator[tuple[Envelope, Signal]]) -> None:
        """Show what would be played; what does not fit the contracts is told and passed over."""
        for batch in batches(played, AT_ONCE):
            fitting = [signal for _, signal in batch if self._fits(catalogue, signal)]
            self._view.signals(map(encode, fitting))
            self.played += len(fitting)

    def _fits(self, catalogue: Catalogue, signal: Signal) -> bool:
        try:
            catalogue.version(signal.signal, signal.version).check(signal.facts)
        except LigandError as error:
            self._tell_refused(signal, error.message)
            return False
        return True

    def _await(self, envelope: Envelope) -> None:
        due = self._began
        if self._rate:
            due += (self.played + self.refused) / self._rate
        elif self._original and (at := moment(envelope)) is not None:
            self._first = at if self._first is None else self._first
            due += at - self._first
        time.sleep(max(0.0, due - time.monotonic()))

    def _emit(self, emitter: Emitter, journal: Journal, signals: list[Signal]) -> None:
        try:
            seqs = emitter.emit(*signals)
        except BusUnreachableError:
            raise
        except LigandError as error:
            self._refused(emitter, journal, signals, error)
            return
        self.played += len(signals)
        for signal, seq in zip(signals, seqs, strict=True):
            self._view.signals(journal.get(seq) if seq else [encode(signal)])  # what is live is not kept

    def _refused(self, emitter: Emitter, journal: Journal, signals: list[Signal], error: LigandError) -> None:
        """A batch goes whole or not at all: find out which of it."""
        if len(signals) > 1:
            for signal in signals:
                self._emit(emitter, journal, [signal])
            return
        is_twice = isinstance(error, ConflictError)
        self._tell_refused(signals[0], "is in the recording twice" if is_twice else error.message)

    def _tell_refused(self, signal: Signal, why: str) -> None:
        self.refused += 1
        self._view.notice(f"{signal.signal} {signal.id}: {why}")
