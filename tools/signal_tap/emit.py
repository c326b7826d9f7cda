"""`signal-tap emit`: say something on the bus."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import orjson

from services.runtime.commands import Finite
from signals.emitter import Emitter
from signals.envelope import Signal, encode
from signals.errors import SchemaError, UsageError
from tools.cli import Failure, home_option, need_bus, told
from tools.signal_tap import options
from tools.signal_tap.assignments import Facts, facts_in, facts_of
from tools.signal_tap.options import Look
from tools.signal_tap.output import View
from tools.signal_tap.pacing import paced

AT_MOST = 1000
HINT = " (key=5 is text; write key:=5 for a number, and so for lists and the like)"
_NO_TEXT = re.compile(r"(a |an )?(whole number|number|true or false|list|object)")


@click.command()
@click.argument("name", metavar="Q_NAME")
@click.argument("assignments", nargs=-1, metavar="[KEY=TEXT | KEY:=JSON]...")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the facts: one JSON object, or one a line.")
@click.option("--taint", metavar="LABEL", multiple=True, help="Say where untrusted content came in; repeatable.")
@click.option("-r", "--rate", type=Finite(1e-6), help="Emit again and again, so many a second.")
@click.option("-c", "--count", type=click.IntRange(1), help="So many times; else once, with -r until Ctrl-C.")
@click.option("--dry-run", is_flag=True, help="Check, show what would be emitted, and emit nothing.")
@options.dated
@home_option
@told
def emit(
    look: Look,
    *,
    name: str,
    assignments: tuple[str, ...],
    from_stdin: bool,
    taint: tuple[str, ...],
    rate: float | None,
    count: int | None,
    dry_run: bool,
    home: Path | None,
) -> None:
    """Emit a signal as yourself.

    It is on disk when this returns.

    \b
      signal-tap emit Q_SPEAK text='Good morning' urgency=when_attended
      signal-tap emit Q_X 'limit:=5' place.room=kitchen    numbers, nested facts
      signal-tap emit Q_X --stdin < facts.json
      signal-tap emit Q_X 'n:=1' -r 20 -c 100              20 a second, 100 in all
    """
    if from_stdin and assignments:
        raise UsageError("Give the facts as arguments or on standard input, not both.")
    facts = facts_in(sys.stdin.buffer.read()) if from_stdin else [facts_of(assignments)]
    if len(facts) > AT_MOST:
        raise UsageError(f"Standard input has {len(facts)} signals; at most {AT_MOST} go in one batch.")
    view = View.of(home, look)
    with Emitter(view.paths.bus_socket, catalogue=view.paint.catalogue) as emitter:
        make = _maker(emitter, name, facts, tuple(sorted(set(taint))))
        if dry_run:
            view.signals(encode(signal) for signal in make())
            return
        make()  # checked before anything is said
        need_bus(view.paths)
        times = count or (1 if rate is None else None)
        for repeats in paced(times, rate, AT_MOST // len(facts), time.monotonic, time.sleep):
            batch = [signal for _ in range(repeats) for signal in make()]
            _tell(view, batch, emitter.emit(*batch))


def _maker(emitter: Emitter, name: str, facts: list[Facts], taint: tuple[str, ...]) -> Callable[[], list[Signal]]:
    def make() -> list[Signal]:
        many = len(facts) > 1
        return [_signal(emitter, name, each, taint, nth if many else None) for nth, each in enumerate(facts, 1)]

    return make


def _signal(emitter: Emitter, name: str, facts: Facts, taint: tuple[str, ...], nth: int | None) -> Signal:
    try:
        return emitter.signal(name, facts, taint=taint)
    except SchemaError as error:
        where = f"Line {nth}: " if nth else ""
        hint = HINT if _NO_TEXT.match(error.expected) else ""
        raise Failure(f"{where}{error.message}{hint}. Its facts: `signal-tap info {name}`.", 2) from error


def _tell(view: View, signals: list[Signal], seqs: list[int]) -> None:
    pairs = list(zip(signals, seqs, strict=True))
    if view.look.form == "short":
        view.output.lines(f"{signal.signal} {signal.id} {seq}".encode() for signal, seq in pairs)
    else:
        view.signals(
            orjson.dumps({"seq": seq, "signal": signal.signal, "id": signal.id, "source": signal.source})
            for signal, seq in pairs
        )
