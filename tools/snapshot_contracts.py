"""Keep the contracts of a release, so that later ones can be held to them.

python -m tools.snapshot_contracts 0.1.0
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import click

from signals.catalogue import PACKAGED
from signals.errors import ContractError, LigandError

PAST = Path("tests/contracts/past")
VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


def snapshot(version: str, contracts: Path = PACKAGED, past: Path = PAST) -> list[Path]:
    """Copy every contract to `past/<version>/`; the copies made.

    Raises ContractError for a bad version and for one that is already kept: what was released stays.
    """
    if not VERSION.fullmatch(version):
        raise ContractError(f"{version!r} is no version; give it as 1.2.3")
    target = past / version
    if target.exists():
        raise ContractError(f"{target} exists; a release is kept once and never changed")
    target.mkdir(parents=True)
    files = sorted(contracts.glob("Q_*.json"))
    return [Path(shutil.copyfile(file, target / file.name)) for file in files]


@click.command(help=__doc__)
@click.argument("version")
def main(version: str) -> None:
    """Keep the contracts as those of VERSION; run it from the project's root."""
    try:
        made = snapshot(version)
    except LigandError as error:
        raise click.ClickException(error.message) from error
    click.echo(f"{len(made)} contracts kept in {PAST / version}")


if __name__ == "__main__":
    main()
