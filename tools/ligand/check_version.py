"""Run by the new version before it takes over: `python -m tools.ligand.check_version CONFIG [OLD_CONTRACTS]`.

Exit 0 when it can read the configuration, the manifests and the contracts that are there, and breaks no contract
of the version in use; else 1, and what is wrong on stderr, a line each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from services.runtime import config
from services.runtime.manifest import Manifest, load_all
from signals.catalogue import PACKAGED, Catalogue
from signals.errors import LigandError
from signals.paths import Paths
from tools.contract_evolution import narrowings
from tools.ligand import own_files


def faults(configuration: Path, old: Path | None) -> Iterator[str]:
    """What keeps this version from taking over."""
    try:
        catalogue = Catalogue.load([configuration / "contracts.d"])
        manifests = load_all(configuration / "daemons.d")
    except LigandError as error:
        yield error.message
        return
    for manifest in manifests.values():
        yield from _of_daemon(manifest, catalogue, configuration)
    if old is not None:
        yield from _of_contracts(old)


def _of_daemon(manifest: Manifest, catalogue: Catalogue, folder: Path) -> Iterator[str]:
    try:
        manifest.check(catalogue)
    except LigandError as error:
        yield error.message
    instances = sorted(folder.glob(f"{manifest.daemon}@*.yaml"))
    for file in (folder / f"{manifest.daemon}.yaml", *instances):
        try:
            config.load(file, manifest.config, daemon=file.stem)
        except LigandError as error:
            yield error.message
    paths = replace(Paths.resolve(), config=folder)
    yield from (told.message for told in own_files.judged(own_files.needed(manifest), paths))


def _of_contracts(old: Path) -> Iterator[str]:
    for file in sorted(old.glob("*.json")):
        fresh = PACKAGED / file.name
        if not fresh.exists():
            yield f"{file.stem}: this contract is gone, and signals of it may still wait in the journal"
            continue
        found = narrowings(json.loads(file.read_text(encoding="utf-8")), json.loads(fresh.read_text(encoding="utf-8")))
        yield from (f"{file.stem}: {what}" for what in found)


def main() -> None:
    """Check, say, exit."""
    old = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    found = list(faults(Path(sys.argv[1]), old))
    for line in found:
        print(line, file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
