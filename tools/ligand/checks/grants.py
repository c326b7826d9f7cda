"""What daemons were granted, and what of it was broken off."""

from __future__ import annotations

from collections.abc import Iterator

from signals.paths import Paths
from tools.ligand.checks.finding import Finding, mend, ok
from tools.ligand.granted import load
from tools.ligand.layout import InstallError
from tools.text import clean


def findings(paths: Paths) -> Iterator[Finding]:
    """Whether each grant is whole; nothing where none was made."""
    try:
        grants = load(paths.config / "grants.json")
    except InstallError as error:
        yield mend(
            "grants", clean(error.message), "A daemon that starts sees nothing of what it was granted meanwhile."
        )
        return
    for one in grants:
        said = f"{one.daemon} may {one.access} {clean(one.path)}"
        if one.unfinished:
            yield mend("grants", f"{said}: {one.state}", clean(one.unfinished))
        else:
            yield ok("grants", said)
