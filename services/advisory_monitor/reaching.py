"""Why something cannot be seen, and what a person can do about it."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user")))


def reason(error: OSError) -> str:
    """The error in words."""
    return error.strerror or str(error)


def grant_hint(path: Path) -> str:
    """How to let the monitor see a path."""
    return (
        f"See that it is there and may be read. Under systemd the monitor sees nothing beneath "
        f"{', '.join(map(str, _HIDDEN))} unless granted: `ligand grant advisory_monitor {quote(str(path))} --read`."
    )
