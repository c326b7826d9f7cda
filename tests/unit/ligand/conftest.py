"""A `ligand up` over small programs, watched through the lines it prints; and a place for an installation."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.ligand.layout import Layout

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_name("program.py")
PATIENCE_S = 60.0


class Up:
    """A running `ligand up --home … --units …`."""

    def __init__(self, home: Path, units: Path, *options: str) -> None:
        self.home = home
        self.seen: list[str] = []
        self._new: list[str] = []
        self._held = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.ligand", "up", "--home", home, "--units", units, *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True,
        )  # fmt: skip

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line that matches and was not waited for yet; fails when none comes.

        Readiness and lines come on different sockets, so their order is not the program's.
        """
        while True:
            for line in self._new:
                if found := re.search(pattern, line):
                    self._new.remove(line)
                    return found
            if self._line() is None:
                pytest.fail(f"no line matches {pattern!r} in:\n" + "\n".join(self.seen))

    def _line(self) -> str | None:
        assert self.process.stdout is not None
        until = time.monotonic() + PATIENCE_S
        while b"\n" not in self._held:
            left = max(0.0, until - time.monotonic())
            if not select.select([self.process.stdout], [], [], left)[0]:
                return None
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                return None
            self._held += piece
        line, self._held = self._held.split(b"\n", 1)
        self.seen.append(line.decode())
        self._new.append(self.seen[-1])
        return self.seen[-1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.end()

    def end(self) -> int:
        while self._line() is not None:
            pass
        return self.process.wait(PATIENCE_S)

    def board(self) -> dict[str, dict[str, Any]]:
        content = json.loads((self.home / "run" / "units.json").read_bytes())
        return {unit["daemon"]: unit for unit in content["units"]}


class Bench:
    """Writes units and starts `ligand up` on them."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.units = folder / "units"
        self.units.mkdir()
        self.started: list[Up] = []

    def unit(self, name: str, *actions: str, unit: str = "", service: str = "") -> None:
        words = " ".join(f'"{action}"' for action in actions)
        (self.units / f"ligand-{name}.service").write_text(
            f"[Unit]\nDescription=test {name}\n{unit}\n"
            f"[Service]\nType=notify\nRestartSec=10ms\n{service}\n"
            f"ExecStart={sys.executable} {PROGRAM} {words}\n"
        )

    def up(self, *options: str) -> Up:
        self.started.append(Up(self.home, self.units, *options))
        return self.started[-1]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for up in made.started:
        if up.process.poll() is None:
            up.process.kill()
            up.process.wait()
        assert up.process.stdout is not None
        up.process.stdout.close()


@pytest.fixture
def user(tmp_path: Path) -> Layout:
    """A person's own Ligand, of which nothing is installed yet."""
    return Layout.for_user(environ={"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")})
