"""Runs Ligand's commands as a person or a script would: on pipes, or on a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.support.constellation import ROOT

LONGEST_S = 60


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
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "LIGAND_HOME", "NO_COLOR"))}
    kept |= {"PYTHONPATH": str(ROOT), "TERM": "xterm", **(env or {})}
    return kept | ({"LIGAND_HOME": str(home)} if home else {})


def command(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"tools.{program}", *arguments]


def run(
    program: str, home: Path | None, *arguments: str, given: bytes = b"", env: Mapping[str, str] | None = None
) -> Done:
    """Run a command on pipes to its end."""
    done = subprocess.run(
        command(program, *arguments),
        input=given,
        capture_output=True,
        env=environment(home, env),
        cwd=ROOT,
        timeout=LONGEST_S,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())


def run_on_terminal(program: str, home: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
    """Run a command on a terminal of its own to its end."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            command(program, *arguments),
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
