"""`signal-tap validate`: do envelopes or facts fit their contracts?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import orjson

from signals.catalogue import Catalogue
from signals.envelope import BUS_FIELDS, check_emitted, load
from signals.errors import LigandError, MalformedError
from tools.cli import NOTHING, OK, home_option, told
from tools.signal_tap import options
from tools.signal_tap.masked import of_recordings
from tools.signal_tap.options import Look
from tools.signal_tap.output import View
from tools.signal_tap.recordings import LONGEST, lines, opened
from tools.text import clean


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that does not fit."""

    file: str
    line: int
    code: str
    message: str

    def shown(self, form: str) -> bytes:
        """As `-o` wants it; `file:line: message` is what editors read."""
        if form == "short":
            return f"{clean(self.file)}:{self.line}: {clean(self.message)}".encode()
        return orjson.dumps({"file": self.file, "line": self.line, "code": self.code, "message": self.message})


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--signal", "name", metavar="Q_X", help="The files hold facts of this signal, not envelopes.")
@options.plain
@home_option
@told
def validate(look: Look, *, files: tuple[str, ...], name: str | None, home: Path | None) -> int:
    """Check envelopes, or facts, against the contracts.

    Needs no running bus; - is standard input. A FILE holds one JSON object, or one a line. In an envelope a secret
    may be masked, as in a recording. Exit code 0: all fit; 1: some do not, or there are none.
    """
    view = View.of(home, look)
    catalogue = view.paint.catalogue if name is not None else of_recordings(view.paint.catalogue)
    if name is not None and name not in catalogue:
        catalogue[name]  # raises, with what may have been meant
    checked = faults = 0
    for file in files:
        for line, raw in objects(file):
            checked += 1
            fault = check(catalogue, file, line, raw, name)
            if fault is not None:
                faults += 1
                shown = fault.shown(look.form)
                view.output.lines([shown if look.form == "short" else view.paint.shower(look.form)(shown)])
    view.notice(f"{checked:,} checked, {faults:,} {'does' if faults == 1 else 'do'} not fit")
    return OK if checked and not faults else NOTHING


def objects(file: str) -> Iterator[tuple[int, bytes]]:
    """The JSON texts in a file: one a line, or the whole when the first line is none by itself."""
    if file == "-":
        yield from lines(file)
        return
    with opened(file) as stream:
        first = stream.readline(LONGEST).strip()
        rest = stream.read(LONGEST).strip()
    if not rest or _is_json(first):
        yield from lines(file)
    else:
        yield 1, first + b"\n" + rest


def _is_json(raw: bytes) -> bool:
    try:
        orjson.loads(raw)
    except ValueError:
        return False
    return True


def check(catalogue: Catalogue, file: str, line: int, raw: bytes, name: str | None) -> Fault | None:
    """What is wrong with one envelope, or with facts of the signal `name`."""
    try:
        found = load(raw, LONGEST)
        if name is not None:
            catalogue[name].check(found)
        else:
            _check_envelope(catalogue, found)
    except LigandError as error:
        return Fault(file, line, error.code, error.message)
    return None


def _check_envelope(catalogue: Catalogue, envelope: dict[str, Any]) -> None:
    if not {"signal", "facts"} <= envelope.keys():
        raise MalformedError("This is no envelope. For the facts of a signal: --signal Q_X")
    emitted = {key: value for key, value in envelope.items() if key not in BUS_FIELDS}
    check_emitted(emitted)
    catalogue.version(envelope["signal"], envelope["version"]).check(envelope["facts"])
