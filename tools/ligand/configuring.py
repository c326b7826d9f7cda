"""Reading the configuration of every daemon as they would read it themselves, and saying what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from services.runtime import config as configuration
from services.runtime.checking import problems_of
from services.runtime.manifest import Manifest, load_all
from services.runtime.yamlmarks import YamlError, parse_file
from signals.catalogue import Catalogue
from signals.errors import ConfigError, LigandError, UsageError
from signals.masking import MASK
from signals.paths import Paths
from tools.ligand import own_files


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the configuration that a person has to mend, or (`is_error` false) look at."""

    file: str
    line: int
    daemon: str
    message: str
    is_error: bool = True

    def as_json(self) -> dict[str, Any]:
        """The problem as one JSON object."""
        return asdict(self)


def check(paths: Paths) -> list[Problem]:
    """What is wrong in contracts, manifests and configuration files; empty when all of it can be used."""
    problems: list[Problem] = []
    try:
        catalogue = Catalogue.load([paths.contracts])
    except LigandError as error:
        return [Problem(str(error.fields.get("file", paths.contracts)), 0, "", error.message)]
    try:
        manifests = load_all(paths.manifests)
    except LigandError as error:
        return [Problem(str(paths.manifests), 0, "", error.message)]
    for manifest in manifests.values():
        problems += _manifest(manifest, catalogue)
    names = {**manifests, **_instances(paths, manifests)}
    for name in [name for name, manifest in names.items() if "@" in name or not manifest.instances]:
        problems += _config(paths, name, names[name])
    told = {(problem.file, problem.line) for problem in problems}
    for manifest in manifests.values():
        problems += (problem for problem in _own_files(paths, manifest) if (problem.file, problem.line) not in told)
    return [*problems, *_bus(paths, manifests), *_strangers(paths, names)]


def _manifest(manifest: Manifest, catalogue: Catalogue) -> Iterator[Problem]:
    try:
        manifest.check(catalogue)
    except LigandError as error:
        yield Problem(manifest.origin, 0, manifest.daemon, error.message)


def _config(paths: Paths, name: str, manifest: Manifest) -> Iterator[Problem]:
    file = paths.config_of(name)
    try:
        configuration.load(file, manifest.config, daemon=name)
    except ConfigError as error:
        for line, told in problems_of(error):
            yield Problem(str(file), line, name, told)
    except LigandError as error:
        yield Problem(manifest.origin, 0, name, error.message)


def _own_files(paths: Paths, manifest: Manifest) -> Iterator[Problem]:
    """What a daemon itself says of the files that its manifest lists."""
    for told in own_files.judged(manifest, paths):
        yield Problem(told.file, told.line, manifest.daemon, told.message)


def _bus(paths: Paths, manifests: Mapping[str, Manifest]) -> Iterator[Problem]:
    """Daemons that bus.yaml names and that nobody has described."""
    bus = _loaded(paths, "bus", manifests)
    for name in (*bus.get("disable", ()), *bus.get("instances", ())):
        if name not in manifests:
            near = difflib.get_close_matches(name, manifests, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            yield Problem(str(paths.config_of("bus")), 0, "bus", f"There is no daemon {name!r}.{hint}")


def _loaded(paths: Paths, name: str, manifests: Mapping[str, Manifest]) -> dict[str, Any]:
    try:
        return configuration.load(paths.config_of(name), manifests[name].config, daemon=name)
    except LigandError:
        return {}  # told by `_config`


def _instances(paths: Paths, manifests: Mapping[str, Manifest]) -> dict[str, Manifest]:
    listed = _loaded(paths, "bus", manifests).get("instances", {})
    templates = (manifest for manifest in manifests.values() if manifest.instances)
    return {name: one for manifest in templates for name, one in manifest.sessions(listed).items()}


def _strangers(paths: Paths, names: Mapping[str, Manifest]) -> Iterator[Problem]:
    """Files that no daemon reads: most often a name with a slip in it."""
    own = {Path(name).stem for manifest in names.values() for name in manifest.files}
    tuned = set(_tuned(paths))
    for file in sorted(paths.config.glob("*.y*ml")):
        if file in tuned or (file.suffix == ".yaml" and (file.stem in names or file.stem in own)):
            continue
        near = difflib.get_close_matches(file.stem, [*names, *own], n=1)
        hint = f" Did you mean {near[0]}.yaml?" if near else f" Known: {', '.join(sorted(names))}."
        yield Problem(str(file), 0, "", f"No daemon reads {file.name}.{hint}", is_error=False)
    folders = [name for manifest in names.values() for name in manifest.files if name.endswith("/")]
    for file in sorted(file for name in folders for file in (paths.config / name).glob("*.yml")):
        words = f"No daemon reads {file.name}. Did you mean {file.stem}.yaml?"
        yield Problem(str(file), 0, "", words, is_error=False)


def _tuned(paths: Paths) -> Iterator[Path]:
    """The files that experiments name as what they tune."""
    for experiment in (paths.config / "experiments").glob("*.yaml"):
        with suppress(OSError, YamlError, KeyError, TypeError):  # what is wrong with it is told of itself
            yield paths.config / parse_file(experiment).data["target"]["file"]


def effective(paths: Paths, daemon: str) -> tuple[dict[str, Any], frozenset[str]]:
    """A daemon's configuration with its defaults, secrets masked, and the top-level keys that its file sets.

    Raises `UsageError` for a daemon that is not there, `ConfigError` for a file that cannot be used.
    """
    manifest = manifest_of(paths, daemon)
    file = paths.config_of(daemon)
    found = configuration.load(file, manifest.config, daemon=daemon)
    defaults = configuration.load(None, manifest.config, daemon=daemon) if _may_default(manifest) else {}
    changed = {key.split(".")[0] for key in configuration.changed_keys(defaults, found)}
    return _masked(found, configuration.with_common(manifest.config)), frozenset(changed)


def _may_default(manifest: Manifest) -> bool:
    return not manifest.config.get("required")


def _masked(value: Any, schema: Mapping[str, Any]) -> Any:
    if schema.get("x-secret") and value is not None:
        return MASK
    if isinstance(value, Mapping):
        known = schema.get("properties", {})
        others = schema.get("additionalProperties")
        rest = others if isinstance(others, Mapping) else {}
        return {key: _masked(inner, known.get(key, rest)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, schema.get("items", {})) for inner in value]
    return value


def manifest_of(paths: Paths, daemon: str) -> Manifest:
    """The manifest of `daemon` or `daemon@instance`. Raises `UsageError`, naming those that are there."""
    manifests = load_all(paths.manifests)
    name, at, instance = daemon.partition("@")
    if name not in manifests:
        near = difflib.get_close_matches(name, manifests, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(manifests))}."
        raise UsageError(f"There is no daemon {daemon!r}; {hint}")
    return manifests[name].instance(instance) if at else manifests[name]


def places(paths: Paths) -> dict[str, Path]:
    """Every place of this Ligand, by what it is."""
    return {
        "configuration": paths.config,
        "contracts of your own": paths.contracts,
        "manifests of your own": paths.manifests,
        "units of your own": paths.config / "units.d",
        "state": paths.state,
        "journal": paths.journal,
        "dead letters": paths.dead_letters,
        "drop folder": paths.intents,
        "runtime": paths.run,
        "bus": paths.bus_socket,
        "mirror": paths.mirror_socket,
    }
