"""Runs Ligand's commands as a person or a script would: on pipes, or on a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import tty
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.support.constellation import ROOT
from tools.cli import run as run_command
from tools.ligand.__main__ import ligand as ligand_root
from tools.signal_tap.__main__ import tap as signal_tap

LONGEST_S = 300
_OPENED = 'exec "$@" <"$0"'  # who opens a terminal first in a session controls it: Ctrl-C typed there is a signal


@dataclass(frozen=True)
class Done:
    """How a command ended. On a terminal `out` holds standard error too."""

    code: int
    out: bytes
    err: str = ""

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def objects(self) -> list[Any]:
        return [orjson.loads(line) for line in self.out.splitlines()]


def environment(home: Path | None, env: Mapping[str, str] | None = None) -> dict[str, str]:
    left_out = ("XDG_", "LIGAND_HOME", "NO_COLOR", "COLUMNS", "LINES")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    kept |= {"PYTHONPATH": str(ROOT), "TERM": "xterm", **(env or {})}
    return kept | ({"LIGAND_HOME": str(home)} if home else {})


def command(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"tools.{program}", *arguments]


def run(
    program: str,
    home: Path | None,
    *arguments: str,
    given: bytes = b"",
    env: Mapping[str, str] | None = None,
    timeout: float = LONGEST_S,
) -> Done:
    """Run a command on pipes to its end."""
    done = subprocess.run(
        command(program, *arguments),
        input=given,
        capture_output=True,
        env=environment(home, env),
        cwd=ROOT,
        timeout=timeout,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())


def run_on_terminal(
    program: str,
    home: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    columns: int = 0,
    typed: tuple[bytes, bytes] | None = None,
) -> Done:
    """Run a command on a terminal of its own to its end. `typed`: once the first was shown, the second is typed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40 if columns else 0, columns, 0, 0))
    try:
        process = subprocess.Popen(
            ["sh", "-c", _OPENED, os.ttyname(theirs), *command(program, *arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(home, env),
            cwd=ROOT,
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    said = bytearray()
    with contextlib.suppress(OSError):  # EIO: the other end is closed, the command has ended
        while piece := os.read(ours, 65536):
            said += piece
            if typed is not None and typed[0] in said:
                os.write(ours, typed[1])
                typed = None
    os.close(ours)
    return Done(process.wait(LONGEST_S), bytes(said))


@contextlib.contextmanager
def started(program: str, home: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs on, on pipes; killed at the end if it still does."""
    process = subprocess.Popen(
        command(program, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home),
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(LONGEST_S)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None and not pipe.closed:
                pipe.close()


def tap(home: Path | None, *arguments: str, given: bytes = b"") -> Done:
    """Run `signal-tap` to its end in this process, with files for its three streams: quick, and otherwise the same."""
    return within("signal_tap", home, *arguments, given=given)


def ligand(home: Path | None, *arguments: str, given: bytes = b"") -> Done:
    """The same for `ligand`; not for the verbs that start processes or change what this one is."""
    return within("ligand", home, *arguments, given=given)


def within(
    program: str,
    home: Path | None,
    *arguments: str,
    given: bytes = b"",
    env: Mapping[str, str] | None = None,
    columns: int = 0,
) -> Done:
    """Run a command to its end in this process; with `columns`, standard output is a terminal of that width."""
    root, prog = {"signal_tap": (signal_tap, "signal-tap"), "ligand": (ligand_root, "ligand")}[program]
    with contextlib.ExitStack() as stack:
        told, said_wrong = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        told.write(given)
        told.seek(0)
        place: _Screen | _Pipe = _Screen(columns) if columns else _Pipe()
        stack.enter_context(place)
        texts = [io.TextIOWrapper(each, encoding="utf-8", write_through=True) for each in (told, place.out, said_wrong)]
        with _streams(texts, [prog, *arguments], environment(home, env)):
            code = run_command(root, prog)
        for text in texts:
            text.detach()
        said_wrong.seek(0)
        return Done(code, place.said(), said_wrong.read().decode())


@contextlib.contextmanager
def _streams(texts: Sequence[io.TextIOWrapper], argv: list[str], env: Mapping[str, str]) -> Iterator[None]:
    """This process as a command finds it; `__stdout__` too, for that is whose width is asked."""
    before = sys.stdin, sys.stdout, sys.stderr, sys.__stdout__, sys.argv
    environ = dict(os.environ)
    sys.stdin, sys.stdout, sys.stderr = texts
    sys.__stdout__, sys.argv = texts[1], argv  # type: ignore[misc]
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr, sys.__stdout__, sys.argv = before  # type: ignore[misc]
        os.environ.clear()
        os.environ.update(environ)


class _Pipe:
    """A file that takes what is written."""

    def __enter__(self) -> _Pipe:
        self.out = tempfile.TemporaryFile()
        return self

    def __exit__(self, *_: object) -> None:
        self.out.close()

    def said(self) -> bytes:
        self.out.seek(0)
        return self.out.read()


class _Screen:
    """A terminal that a thread reads; its line ends are left as they were written."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._said = bytearray()

    def __enter__(self) -> _Screen:
        self._ours, theirs = pty.openpty()
        tty.setraw(theirs)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, self._columns, 0, 0))
        self.out = os.fdopen(theirs, "wb", buffering=0)
        self._reading = threading.Thread(target=self._read)
        self._reading.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.said()
        os.close(self._ours)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while piece := os.read(self._ours, 65536):
                self._said += piece

    def said(self) -> bytes:
        self.out.close()
        self._reading.join()
        return bytes(self._said)
