"""docs/writing-a-daemon.md, followed to the letter in a fresh home."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.support.commands import environment
from tests.support.constellation import ROOT

GUIDE = ROOT / "docs" / "writing-a-daemon.md"
BLOCK = re.compile(r"(?:^`(config/\S+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEP_S = 300


def blocks() -> list[tuple[str, str, str]]:
    """(file named above it or nothing, language, text) of each fenced block, in order."""
    return BLOCK.findall(GUIDE.read_text())


def steps(text: str) -> Iterator[tuple[str, list[str]]]:
    """(command, the lines that it should print) of a console block."""
    command, said = "", list[str]()
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, said
            command, said = line[2:], []
        else:
            said.append(line)
    yield command, said


class Reader:
    """Somebody who types what the guide says. The shell keeps its variables and folder between the commands."""

    def __init__(self, home: Path) -> None:
        programs = home / "programs"
        programs.mkdir()
        for name, words in (("ligand", "-m tools.ligand"), ("signal-tap", "-m tools.signal_tap"), ("python", "")):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words} "$@"\n')
            program.chmod(0o755)
        self._env = environment(None) | {"HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}"}
        self.home = home / "ligand"
        self._before = "true"
        self.up: subprocess.Popen[bytes] | None = None

    def write(self, file: str, text: str) -> None:
        """Put a block into the file that is named above it."""
        (self.home / file).write_text(text)

    def type(self, command: str) -> str:
        """Run a command and give what it prints; `ligand up` goes on in the background."""
        if command == "ligand up":
            return self._start()
        if command.startswith(("export ", "mkdir ")):
            self._before += f" && {command}"
        done = subprocess.run(
            ["bash", "-c", f"{self._before} && {command}"],
            cwd=self.home.parent, env=self._env, capture_output=True, text=True, timeout=STEP_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if command.startswith("signal-tap emit"):
            self._await_quiet()
        return done.stdout + done.stderr

    def _await_quiet(self) -> None:
        """A program types faster than a person: go on when nothing waits to be handled."""
        status = [
            sys.executable,
            "-m",
            "tools.ligand",
            "status",
            "--watch",
            "--every",
            "0.1",
            "-c",
            "200",
            "-o",
            "json",
        ]
        env = self._env | {"LIGAND_HOME": str(self.home)}
        with subprocess.Popen(status, env=env, stdout=subprocess.PIPE) as looking:
            assert looking.stdout is not None
            assert any(not sum(each["lag"] for each in json.loads(line)["daemons"]) for line in looking.stdout)
            looking.kill()

    def _start(self) -> str:
        self.up = subprocess.Popen(
            ["bash", "-c", f"{self._before} && exec ligand up"],
            cwd=self.home.parent, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self.up.stdout is not None
        said = []
        for line in self.up.stdout:
            said.append(line.decode())
            if "ready: " in said[-1]:
                return "".join(said)
        raise AssertionError("".join(said))

    def close(self) -> None:
        """End what still runs."""
        if self.up is not None:
            if self.up.poll() is None:
                self.up.terminate()
            self.up.wait(STEP_S)
            assert self.up.stdout is not None
            self.up.stdout.close()


def prints(output: str, expected: list[str]) -> list[str]:
    """Those of the expected lines that are missing, in their order; `…` stands for anything."""
    left = iter(output.splitlines())
    return [
        line for line in expected if line != "…" and not any(fnmatchcase(each.strip(), _glob(line)) for each in left)
    ]


def _glob(line: str) -> str:
    return re.sub(r"([\[\]?*])", r"[\1]", line.strip()).replace("…", "*")


@pytest.mark.slow
def test_the_guide_works_as_written(tmp_path: Path) -> None:
    """A new user types what stands there; each command succeeds and prints what the guide shows."""
    with closing(Reader(tmp_path)) as reader:
        for file, language, text in blocks():
            if language == "console":
                for command, said in steps(text):
                    output = reader.type(command)
                    assert prints(output, said) == [], f"$ {command}\n{output}"
            elif file:
                reader.write(file, text)


def test_every_python_block_can_be_read() -> None:
    """An example with a slip in it is worse than none."""
    found = [text for _, language, text in blocks() if language == "python"]
    assert len(found) >= 3
    for text in found:
        ast.parse(text)
