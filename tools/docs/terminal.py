"""A command on a terminal of its own, and what it shows there as a picture."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from signals.errors import LigandError

LONGEST_S = 60.0
HOME = b"\x1b[H"
"""What a full-screen command begins each of its screens with."""
_SCREEN = re.compile(rb"\x1b\[\?(?:1049|25)[hl]")
_FONT_FACES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


class NotShownError(LigandError):
    """The command did not show what was waited for."""


class Terminal:
    """One running command. `columns` and `lines` are the size of its terminal in characters."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self.said = bytearray()

    def read_until(self, enough: Callable[[bytes], bool]) -> bytes:
        """Read on until what was said in all is enough. Raises `NotShownError` at its end or after a minute."""
        deadline = time.monotonic() + LONGEST_S
        while not enough(bytes(self.said)):
            if not self._read() or time.monotonic() > deadline:
                raise NotShownError(f"The command never showed it; at last:\n{self.said[-2000:].decode()}")
        return bytes(self.said)

    def read_all(self) -> bytes:
        """Everything up to the end of the command."""
        while self._read():
            pass
        self._process.wait(LONGEST_S)
        return bytes(self.said)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._descriptor, keys)

    def _read(self) -> bool:
        try:
            piece = os.read(self._descriptor, 65536)
        except OSError:  # EIO: the other end is closed, the command has ended
            return False
        self.said += piece
        return bool(piece)


@contextmanager
def on_terminal(command: list[str], home: Path, columns: int, lines: int) -> Iterator[Terminal]:
    """A Python module of ours (`command` begins with its name) on a terminal; ended at the end if it still runs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    dropped = ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR")
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**kept, "LIGAND_HOME": str(home), "TERM": "xterm-256color"},
        )
    finally:
        os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)


def last_screen(said: bytes) -> bytes:
    """The last whole screen of a full-screen command, as lines."""
    screens = _SCREEN.sub(b"", said).split(HOME)
    return next((screen for screen in reversed(screens) if screen.strip()), b"")


def picture(said: bytes, title: str, columns: int) -> str:
    """An SVG of what a terminal shows after these bytes: lines and colours. Screens: see `last_screen`."""
    lines = [line.rstrip() for line in said.decode().replace("\r\n", "\n").rstrip().split("\n")]
    while lines and not Text.from_ansi(lines[-1]).plain.strip():
        lines.pop()
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    for line in lines:
        console.print(Text.from_ansi(line), overflow="crop", no_wrap=True, highlight=False)
    drawn = console.export_svg(title=title, theme=MONOKAI, unique_id="terminal")
    return _FONT_FACES.sub("", drawn).replace("Fira Code, ", "")  # who looks at it fetches nothing from anywhere
