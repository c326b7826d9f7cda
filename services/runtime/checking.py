"""`python -m services.DAEMON --check-config`: whether the daemon would start with the files that are there.

Changes nothing, makes no folder, needs no bus. Each problem is one JSON object a line on standard output: `file`,
`line` (0 where there is none) and `message`. Exit status 0 without problems, 78 with.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

import orjson

from services.runtime.exits import EXIT_CONFIG
from signals.errors import LigandError

FLAG = "--check-config"


def check(steps: Iterable[Callable[[], object]]) -> NoReturn:
    """Run each step, the later ones as far as the first that refuses, say what it refuses with, and end.

    A step refuses with a `LigandError`, or with a group of them.
    """
    status = 0
    try:
        for step in steps:
            step()
    except* LigandError as refused:
        for error in refused.exceptions:
            assert isinstance(error, LigandError)
            _tell(error)
        status = EXIT_CONFIG
    sys.stdout.flush()
    sys.exit(status)


def _tell(error: LigandError) -> None:
    for line, message in problems_of(error):
        told = {"file": str(error.fields.get("file", "")), "line": line, "message": message}
        sys.stdout.buffer.write(orjson.dumps(told) + b"\n")


def problems_of(error: LigandError) -> list[tuple[int, str]]:
    """All that an error tells of a file, each with its line, 0 where there is none."""
    first = int(error.fields.get("line") or 0)
    problems = [str(one) for one in error.fields.get("problems") or [error.message]]
    return list(zip(error.fields.get("lines") or [first] * len(problems), problems, strict=True))
