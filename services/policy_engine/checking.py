"""`python -m services.policy_engine --check-config`: whether the engine would start with the files that are there.

Changes nothing and needs no bus. Each problem is one JSON object a line on standard output: `file`, `line` (0 where
there is none) and `message`. Exit status 0 without problems, 78 with.
"""

from __future__ import annotations

import sys

import orjson

from services.policy_engine.rulebook import rulebook
from services.runtime.exits import EXIT_CONFIG
from signals.errors import LigandError
from signals.paths import Paths

FLAG = "--check-config"


def check() -> int:
    """Judge the files; returns the exit status."""
    try:
        rulebook(Paths.resolve())
    except LigandError as error:
        file, line = str(error.fields.get("file", "")), int(error.fields.get("line") or 0)
        for message in error.fields.get("problems") or [error.message]:
            sys.stdout.buffer.write(orjson.dumps({"file": file, "line": line, "message": str(message)}) + b"\n")
        sys.stdout.flush()
        return EXIT_CONFIG
    return 0
