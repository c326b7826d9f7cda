"""`signal-tap emit`: say something on the bus."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
import orjson

from signals.emitter import Emitter
from signals.envelope import Signal, encode
from signals.errors import SchemaError, UsageError
from tools.cli import Failure, home_option, need_bus, paths_of, told
from tools.signal_tap import options
from tools.signal_tap.assignments import Facts, facts_in, facts_of
from tools.signal_tap.output import Output, painter
from tools.signal_tap.rendering import Format, Painter

AT_MOST = 1000
HINT = " (key=5 is text; write key:=5 for a number, and so for lists and the like)"
_NO_TEXT = re.compile(r"(a |an )?(whole number|number|true or false|list|object)")


@click.command()
@click.argument("name", metavar="Q_NAME")
@click.argument("assignments", nargs=-1, metavar="[KEY=TEXT | KEY:=JSON]...")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the facts: one JSON object, or one a line.")
@click.option("--taint", metavar="LABEL", multiple=True, help="Say where untrusted content came in; repeatable.")
@click.option("--dry-run", is_flag=True, help="Check, show what would be emitted, and emit nothing.")
@options.formats()
@options.color
@home_option
@told
def emit(
    *,
    name: str,
    assignments: tuple[str, ...],
    from_stdin: bool,
    taint: tuple[str, ...],
    dry_run: bool,
    form: Format,
    color: str,
    home: Path | None,
) -> None:
    """Emit a signal as yourself; it is on disk when this returns.

    \b
      signal-tap emit Q_SPEAK text='Good morning' urgency=when_attended
      signal-tap emit Q_X 'limit:=5' 'place.room=kitchen'     numbers, nested facts
      signal-tap emit Q_X --stdin < facts.json
    """
    if from_stdin and assignments:
        raise UsageError("Give the facts as arguments or on standard input, not both.")
    facts = facts_in(sys.stdin.buffer.read()) if from_stdin else [facts_of(assignments)]
    if len(facts) > AT_MOST:
        raise UsageError(f"Standard input has {len(facts)} signals; at most {AT_MOST} go in one batch.")
    paths = paths_of(home)
    output = Output()
    paint = painter(paths, output, color)
    with Emitter(paths.bus_socket, catalogue=paint.catalogue) as emitter:
        signals = [
            _signal(emitter, name, each, taint, nth if len(facts) > 1 else None) for nth, each in enumerate(facts, 1)
        ]
        if dry_run:
            for signal in signals:
                output.line(paint.shower(form)(encode(signal)))
            return
        need_bus(paths)
        for signal, seq in zip(signals, emitter.emit(*signals), strict=True):
            _tell(output, paint, form, signal, seq)


def _signal(emitter: Emitter, name: str, facts: Facts, taint: tuple[str, ...], nth: int | None) -> Signal:
    try:
        return emitter.signal(name, facts, taint=tuple(sorted(set(taint))))
    except SchemaError as error:
        where = f"Line {nth}: " if nth else ""
        hint = HINT if _NO_TEXT.match(error.expected) else ""
        raise Failure(f"{where}{error.message}{hint}", 2) from error


def _tell(output: Output, paint: Painter, form: Format, signal: Signal, seq: int) -> None:
    if form == "short":
        output.line(f"{signal.signal} {signal.id} {seq}")
    else:
        said = {"seq": seq, "signal": signal.signal, "id": signal.id, "source": signal.source}
        output.line(paint.shower(form)(orjson.dumps(said)))
