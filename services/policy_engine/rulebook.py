"""Which rules hold: Ligand's own, then the person's in `policies.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.policy_engine.expressions import Environment
from services.policy_engine.loading import DAEMON, World, checker, combine, load
from services.policy_engine.logic import Engine
from services.policy_engine.loops import refuse_loops
from services.policy_engine.model import Rule
from services.runtime import config as configuration
from services.runtime.manifest import Manifest, find, load_all, with_overlays
from signals.catalogue import Catalogue
from signals.errors import ConfigError, LigandError
from signals.paths import Paths

FILE = "policies.yaml"
DEFAULTS = Path(__file__).with_name("rules.yaml")


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules that hold, and all they are held against."""

    rules: tuple[Rule, ...]
    engine: Engine
    world: World
    manifest: Manifest
    config: dict[str, Any]


def rulebook(
    paths: Paths, file: Path | None = None, *, manifest: Manifest | None = None, catalogue: Catalogue | None = None
) -> Rulebook:
    """The rules that hold in these paths, or would with `file` in place of the person's. Raises `ConfigError`.

    An engine that runs gives the manifest and the contracts it was started with: it may emit no more than those say.
    """
    try:
        return _rulebook(paths, file, manifest, catalogue)
    except ConfigError as error:
        if (manifest, catalogue) == (None, None) or not _would_do(paths, file):
            raise
        words = "With the contracts and overlays of today it could be used: restart policy_engine."
        raise ConfigError(f"{error.message}. {words}", **error.fields) from error


def _would_do(paths: Paths, file: Path | None) -> bool:
    try:
        _rulebook(paths, file, None, None)
    except LigandError:
        return False
    return True


def _rulebook(paths: Paths, file: Path | None, manifest: Manifest | None, catalogue: Catalogue | None) -> Rulebook:
    manifests = load_all(paths.manifests)
    manifest = manifest or with_overlays(Manifest.load(find(DAEMON, paths.manifests)), paths.manifests)
    config = configuration.load(paths.config_of(DAEMON), manifest.config, daemon=DAEMON)
    catalogue = catalogue or Catalogue.load([paths.contracts])
    world = World(catalogue, manifest.may_emit, Environment(catalogue))
    files = [DEFAULTS] if config["default_rules"] else []
    own = file or paths.config / FILE
    if file is not None or own.exists() or own.is_symlink():  # a link to nothing is a mistake, not an absent file
        files.append(own)
    rules = combine([load(found, world) for found in files])
    refuse_loops(rules, list(manifests.values()), catalogue)
    return Rulebook(rules, engine_of(rules, world), world, manifest, config)


def engine_of(rules: Sequence[Rule], world: World) -> Engine:
    """An engine for these rules."""
    return Engine(rules, world.environment, checker(world.catalogue))
