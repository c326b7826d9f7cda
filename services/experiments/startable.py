"""Whether an evaluation could be started, as far as that can be known without starting it.

Said is only what holds for whoever starts it: a file that is not there, one that nobody may execute or read. A place
that this process may not look into, and what a program makes of its arguments, is left open; only Python and the shells
are known to take a script.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.experiments.programs import find_module

UNIT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a unit of systemd's looks for a program; it need not have the PATH of the person who checks."""
_EXECUTE, _READ = 0o111, 0o444
_PYTHON = re.compile(r"python(\d(\.\d+)?)?")
_SHELLS = ("sh", "bash", "dash")
_FIRST_LINE = re.compile(rb"#![ \t]*([^ \t\n]+)")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the nth word of a command, or with a function's module (`word` is None), and what to do."""

    word: int | None
    words: str


def faults(folder: Path, command: Sequence[str], python: str | None) -> Iterator[Fault]:
    """What keeps an evaluation from being started in that folder."""
    if python is not None:
        if words := _of_module(folder, python.partition(":")[0]):
            yield Fault(None, words)
        return
    if words := _of_program(folder, command[0]):
        yield Fault(0, words)
    nth = _script(command)
    if nth is not None and (words := _of_script(folder, command[0], command[nth])):
        yield Fault(nth, words)


def _of_program(folder: Path, word: str) -> str:
    if "/" not in word:
        found = _is_on_path(folder, word, _EXECUTE)
        return "" if found else f"no folder of PATH has a program {word}; correct the name, or write the whole path"
    path = folder / word
    return _of_file(path, _EXECUTE, f"nobody may execute {path}: chmod +x {path}") or _of_first_line(path)


def _of_script(folder: Path, program: str, word: str) -> str:
    path = folder / word
    if os.path.isdir(path):  # Python runs a folder that has a __main__.py
        return ""
    if _is_shell(program) and "/" not in word and _is_on_path(folder, word, _READ):
        return ""
    return _of_file(path, _READ, f"nobody may read {path}: chmod +r {path}")


def _is_on_path(folder: Path, word: str, bits: int) -> bool:
    where = f"{os.environ.get('PATH', '')}:{UNIT_PATH}".split(":")
    return any(not _of_file(folder / one / word, bits, "nobody may") for one in where)


def _of_file(path: Path, bits: int, nobody: str) -> str:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"there is no file {path}; write it, or correct the name"
    except OSError:  # not for this process to look into
        return ""
    if not stat.S_ISREG(found.st_mode):
        return f"{path} is no file; name the program itself"
    return "" if found.st_mode & bits else nobody


def _of_first_line(path: Path) -> str:
    """What is wrong with the program that a script names in its first line."""
    try:
        with path.open("rb") as file:
            named = _FIRST_LINE.match(file.read(256))
    except OSError:
        return ""
    program = os.fsdecode(named[1]) if named else ""
    if not program.startswith("/") or not _of_file(Path(program), _EXECUTE, "nobody may"):
        return ""
    return f"the first line of {path} names {program!a}, which cannot be run; correct that line"


def _is_shell(program: str) -> bool:
    return Path(program).name in _SHELLS


def _script(command: Sequence[str]) -> int | None:
    """Which word of the command is a script that Python or a shell reads; None where there is none, or it is open."""
    if _is_shell(command[0]):
        signs, no_script = "-+", "cs"
    elif _PYTHON.fullmatch(Path(command[0]).name):
        signs, no_script = "-", "cm"
    else:
        return None
    words = iter(enumerate(command[1:], 1))
    for nth, word in words:
        if word[0] not in signs:
            return nth
        if len(word) == 1 or word.startswith("--") or set(word) & set(no_script):
            return None
        for _ in range(_taken(command[0], word)):
            next(words, None)
    return None


def _taken(program: str, option: str) -> int:
    """How many words after it belong to an option: `bash -euo pipefail`, `python -W error`."""
    return sum(letter in "oO" for letter in option) if _is_shell(program) else int(option[-1] in "WX")


def _of_module(folder: Path, module: str) -> str:
    found = find_module(folder, module)
    if found is None:
        return f"there is no module {module} in {folder}, nor on Python's path; write it, or correct the name"
    if found.has_location and found.origin is not None:
        return _of_file(Path(found.origin), _READ, f"nobody may read {found.origin}: chmod +r {found.origin}")
    return ""
