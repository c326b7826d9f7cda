"""How a daemon ends when a person has to look first."""

from __future__ import annotations

import sys
from typing import NoReturn

from signals.errors import LigandError

EXIT_CONFIG = 78
"""A person has to mend something first; no unit restarts on it (EX_CONFIG of sysexits.h)."""


def refuse(daemon: str, error: LigandError) -> NoReturn:
    """Say why `daemon` does not start, and end."""
    words = error.message if error.message.startswith(f"{daemon}: ") else f"{daemon}: {error.message}"
    print(words, file=sys.stderr)
    sys.exit(EXIT_CONFIG)
