"""Engines that are no part of the base installation: each in a folder of its own, for a child process.

`<environment>/extras/NAME` holds packages as `pip install --target` lays them out, from `requirements-NAME.lock`. The
folder gets its name only when it is whole, so a daemon that finds it may use it at once. It goes with the environment:
an upgrade makes its own, a rollback finds the old one.
"""

from __future__ import annotations

import sys
from pathlib import Path

NAMES = ("gaze",)


def lock_of(name: str) -> str:
    """The file with the versions and hashes of an extra."""
    return f"requirements-{name}.lock"


def folder_of(name: str, environment: Path | None = None) -> Path:
    """Where an extra lies, or would, in an environment; in the one that runs, unless another is given."""
    return (environment or Path(sys.prefix)) / "extras" / name


def installed(environment: Path | None = None) -> list[str]:
    """The extras that an environment has."""
    return [name for name in NAMES if folder_of(name, environment).is_dir()]
