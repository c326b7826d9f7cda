"""A command on a pipe and on a terminal: the same content, each in its own form; and which options were tried."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from tests.support.commands import Done, within

WIDE = {"signal_tap": 200, "ligand": 160}
"""How wide a command writes into a pipe."""
NARROW = 72
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_VARYING = re.compile(r"\d+(?:\.\d+)?(?: ?(?:ms|s|min|h|d)\b)?")
_FINDING = re.compile(r"^(?=ok |note|mend|\{)", re.MULTILINE)
_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|\b[0-9a-f]{12}\b")
_UNEQUAL = re.compile(r"[\s…]+|╺+|━+")
NEW = "{new}"


@dataclass(frozen=True)
class Case:
    """One way to call a verb. `{new}` in an argument is a path that is not there yet.

    `varies`: numbers and durations differ from one run to the next. `coloured`: it has colours on a terminal.
    `cut`: on a narrow terminal its lines end with the terminal. `but`: findings of the doctor about which this busy
    machine may think otherwise the next time.
    """

    words: str
    code: int = 0
    given: bytes = b""
    varies: bool = False
    coloured: bool = True
    cut: bool = True
    but: str = ""
    env: dict[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        return self.words.split()

    def __str__(self) -> str:
        return self.words


class Both:
    """Runs the cases of one program in one home; new paths lie in a folder of the test's own."""

    def __init__(self, program: str, home: Path, folder: Path) -> None:
        self._program = program
        self._home = home
        self._folder = folder
        self._nth = 0

    def check(self, case: Case) -> None:
        """Compare a pipe and a wide terminal; on a narrow one no line is longer, and NO_COLOR is heeded."""
        piped = self._run(case, 0)
        wide = self._run(case, WIDE[self._program])
        assert (piped.code, wide.code) == (case.code, case.code), piped.err or wide.err
        assert "\x1b" not in piped.text, "a colour code in a pipe"
        assert ("\x1b[" in wide.text) == case.coloured
        self._same(case, piped, wide)
        narrow = self._run(case, NARROW, NO_COLOR="1")
        assert narrow.code == case.code
        assert "\x1b" not in narrow.text, "NO_COLOR was not heeded"
        assert not case.cut or [line for line in narrow.lines if len(line) > NARROW] == []

    def _same(self, case: Case, piped: Done, shown: Done) -> None:
        left, right = (_essence(done.text, case) for done in (piped, shown))
        assert right == left
        assert _essence(shown.err, case) == _essence(piped.err, case)

    def _run(self, case: Case, columns: int, **env: str) -> Done:
        """On a pipe the home is an option, on a terminal it is in the environment: it must not matter."""
        self._nth += 1
        new = str(self._folder / f"new-{self._nth:03d}")
        arguments = [argument.replace(NEW, new) for argument in case.arguments]
        at_home = [] if columns else ["--home", str(self._home)]
        home = self._home if columns else None
        done = within(
            self._program, home, *arguments, *at_home, given=case.given, env={**case.env, **env}, columns=columns
        )
        return Done(done.code, done.out.replace(new.encode(), b"NEW"), done.err.replace(new, "NEW"))


def _essence(text: str, case: Case) -> str:
    plain = "\n".join(line.rstrip() for line in COLOURS.sub("", text).split("\n"))
    if case.but:
        plain = "".join(part for part in _FINDING.split(plain) if not re.search(case.but, part))
    return _UNEQUAL.sub(" ", _VARYING.sub("N", _IDS.sub("ID", plain))) if case.varies else plain


def leaves(command: click.Command, *path: str) -> Iterator[tuple[str, click.Command]]:
    """Each verb that does something, by its words."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, name
            yield from leaves(found, *path, name)
    else:
        yield " ".join(path), command


def untried(root: click.Command, cases: Sequence[Case], elsewhere: dict[str, dict[str, str]]) -> list[str]:
    """Options that no case gives, and no test elsewhere; `elsewhere` has verb -> option -> the file that does."""
    missing = []
    for verb, command in leaves(root):
        mine = [case.arguments for case in cases if f"{case.words} ".startswith(f"{verb} ")]
        given = {argument.split("=")[0] for arguments in mine for argument in arguments} | (
            {"--home"} if mine else set()
        )
        if not mine and verb not in elsewhere:
            missing.append(verb)
        for option in (each for each in command.params if isinstance(each, click.Option)):
            names = {*option.opts, *option.secondary_opts}
            if not names & given and not names & elsewhere.get(verb, {}).keys():
                missing.append(f"{verb} {option.opts[-1]}")
    return missing


def misplaced(elsewhere: dict[str, dict[str, str]], root: Path) -> list[str]:
    """Those of `elsewhere` whose file does not hold the option between quotation marks."""
    return [
        f"{verb} {option}: {file}"
        for verb, options in elsewhere.items()
        for option, file in options.items()
        if f'"{option}"' not in (root / file).read_text()
    ]
