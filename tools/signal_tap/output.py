"""Writing to standard output: at once, in bytes, and noticing when nobody reads any more."""

from __future__ import annotations

import errno
import select
import shutil
import sys
from typing import BinaryIO

import click

from signals.catalogue import Catalogue
from signals.paths import Paths
from tools.cli import Failure, ReaderGoneError, coloured, discard_output
from tools.signal_tap.rendering import WIDE, Painter


class Output:
    """Lines on standard output, each flushed. Raises `ReaderGoneError`."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream or sys.stdout.buffer
        self.terminal = self._stream.isatty()

    @property
    def width(self) -> int:
        """Columns of the terminal; wide enough for a file."""
        return shutil.get_terminal_size().columns if self.terminal else WIDE

    def line(self, line: bytes | str) -> None:
        """Write one line."""
        raw = line.encode() if isinstance(line, str) else line
        try:
            self._stream.write(raw + b"\n")
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
    return Painter(
        Catalogue.load([paths.contracts]),
        colour=coloured(color, output.terminal),
        terminal=output.terminal,
        width=output.width,
    )
