"""Completes names of daemons on the command line."""

from __future__ import annotations

import click

from services.runtime.manifest import load_all
from signals.errors import LigandError
from signals.paths import Paths


def daemons(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The daemons whose names begin so; none when the manifests cannot be read."""
    home = ctx.params.get("home")
    try:
        found = load_all(Paths.resolve(home).manifests)
    except LigandError:
        return []  # in the middle of a person's typing is no place for it
    return sorted(name for name in found if name.startswith(incomplete))
