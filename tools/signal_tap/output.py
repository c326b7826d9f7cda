"""Writing to standard output: at once, in bytes, and noticing when nobody reads any more."""

from __future__ import annotations

import errno
import select
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, BinaryIO

import click
import orjson
from rich.console import RenderableType

from signals.catalogue import Catalogue
from signals.errors import UsageError
from signals.journal import letters_in
from signals.paths import Paths
from tools.cli import Failure, ReaderGoneError, coloured, discard_output, paths_of
from tools.signal_tap.exporting import fields_of
from tools.signal_tap.options import Look
from tools.signal_tap.rendering import WIDE, Painter


class Output:
    """Lines on standard output, flushed. Raises `ReaderGoneError`."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream or sys.stdout.buffer
        self.terminal = self._stream.isatty()

    @property
    def width(self) -> int:
        """Columns of the terminal; wide enough for a file."""
        return shutil.get_terminal_size().columns if self.terminal else WIDE

    def line(self, line: bytes | str) -> None:
        """Write one line."""
        self.lines([line.encode() if isinstance(line, str) else line])

    def lines(self, lines: Iterable[bytes]) -> None:
        """Write lines that are there at the same time."""
        try:
            self._stream.write(b"".join(line + b"\n" for line in lines))
            self._stream.flush()
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.EIO):  # EIO: the terminal is gone
                raise ReaderGoneError from error
            discard_output()
            raise Failure(f"Cannot write to standard output: {error.strerror}.") from error

    def need_reader(self) -> None:
        """Notice a closed pipe without writing to it."""
        poll = select.poll()
        poll.register(self._stream.fileno(), 0)
        if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
            raise ReaderGoneError


def notice(text: str) -> None:
    """Say something that is no data."""
    click.echo(text, err=True)


def painter(paths: Paths, output: Output, color: str) -> Painter:
    """The painter for this output. Raises `ContractError` when users' contracts cannot be read: what they
    mark as secret would not be known."""
    return _painter(paths, output, Look(color=color))


def _painter(paths: Paths, output: Output, look: Look) -> Painter:
    if look.stamps != "abs" and look.form not in ("short", "short-iso"):
        raise UsageError(f"-t {look.stamps} is for short lines; -o {look.form} has times of its own.")
    return Painter(
        Catalogue.load([paths.contracts]),
        colour=coloured(look.color, output.terminal),
        terminal=output.terminal,
        width=output.width,
        zone=UTC if look.utc else None,
        fields=fields_of(look.fields),
        stamps=look.stamps,
        full=look.full,
        letter_of=letters_in(paths.journal),
    )


@dataclass(frozen=True, slots=True)
class View:
    """Where a verb writes, and how."""

    paths: Paths
    output: Output
    paint: Painter
    look: Look

    @classmethod
    def of(cls, home: Path | None, look: Look) -> View:
        """The view for what was typed. Raises `Failure`, `UsageError`, `ContractError`."""
        paths, output = paths_of(home), Output()
        return cls(paths, output, _painter(paths, output, look), look)

    def notice(self, text: str) -> None:
        """Say something that is no data, unless nothing else is wanted."""
        if not self.look.quiet:
            notice(text)

    def head(self) -> None:
        """Print what stands before the first signal."""
        heading = self.paint.heading(self.look.form)
        if heading is not None:
            self.output.line(heading)

    def signals(self, raws: Iterable[bytes]) -> None:
        """Print signals."""
        show_one = self.paint.shower(self.look.form)
        self.output.lines(map(show_one, raws))

    def listed(self, things: Iterable[Any], table: RenderableType) -> None:
        """Print things that are no signals: the table, or each as JSON."""
        if self.look.form == "short":
            self.output.line(self.paint.draw(table))
        else:
            self.signals(orjson.dumps(each) for each in things)
