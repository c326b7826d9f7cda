"""Manifests: what a daemon consumes, emits and asks, as data; read by the frame, by the bus and by the docs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import jsonschema_rs

from services.runtime.budget import SCHEMA as BUDGET
from services.runtime.budget import Budget
from services.runtime.config_errors import SHOWN, explain
from services.runtime.yamlmarks import Marked, YamlError, parse_file
from signals.catalogue import Catalogue, Contract
from signals.errors import ManifestError

MAIN = ""
RUNTIME_EMITS = (
    "Q_DAEMON_READY",
    "Q_DAEMON_STOPPING",
    "Q_CONFIGURATION_RELOADED",
    "Q_CONFIGURATION_REFUSED",
    "Q_HEARTBEAT",
)
"""What the frame emits for every daemon; no manifest lists them."""

_NAME = "^[a-z][a-z0-9_]{0,63}$"
_SIGNAL = "^Q_[A-Z0-9]+(_[A-Z0-9]+)*$"
_GLOB = r"^Q_[A-Z0-9_*?\[\]!-]*$"
_FILE = r"^[a-z][a-z0-9_.-]*/?$"
_COUNT = {"type": "integer", "minimum": 1, "maximum": 10000}
_INSTANCES = {"type": "array", "items": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}, "uniqueItems": True}
_SIGNALS = {"type": "array", "items": {"type": "string", "pattern": _SIGNAL}, "uniqueItems": True}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["daemon", "description"],
    "properties": {
        "daemon": {"type": "string", "pattern": _NAME},
        "description": {"type": "string", "minLength": 1},
        "instances": {"anyOf": [{"type": "boolean"}, _INSTANCES]},
        "consumes": {
            "type": "array",
            "items": {
                "anyOf": [
                    {"type": "string", "pattern": _GLOB},
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["signal"],
                        "properties": {
                            "signal": {"type": "string", "pattern": _GLOB},
                            "where": {"type": "object", "minProperties": 1},
                            "lane": {"type": "string", "pattern": _NAME},
                            "terminal": {"const": True},
                        },
                    },
                ]
            },
        },
        "emits": _SIGNALS,
        "asks": _SIGNALS,
        "listens": _SIGNALS,
        "in_flight": _COUNT,
        "lanes": {
            "type": "object",
            "propertyNames": {"pattern": _NAME},
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"in_flight": _COUNT},
            },
        },
        "max_handling_s": {"type": "number", "exclusiveMinimum": 0},
        "start": {"enum": ["new", "all"]},
        "config": {"type": "object"},
        "files": {"type": "array", "items": {"type": "string", "pattern": _FILE}, "uniqueItems": True},
        "unit": {"type": "object"},
        "user": {"type": "string"},
        "budget": BUDGET,
    },
}
OVERLAY_FIELDS = {"overlay", "emits"}


@dataclass(frozen=True, slots=True)
class Subscription:
    """One line of `consumes`: a glob of names, conditions on top-level facts, and the lane it feeds."""

    signal: str
    where: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    lane: str = MAIN
    terminal: bool = False

    def may_match(self, contract: Contract) -> bool:
        """Whether the contract allows facts that fit the conditions, each for itself."""
        parts = {key: contract.schema[key] for key in ("$defs", "properties") if key in contract.schema}
        allows = jsonschema_rs.validator_for(parts | {"additionalProperties": False}).is_valid
        return all(
            any("$instance" in str(value) or allows({fact: value}) for value in values)
            for fact, values in self.where.items()
        )

    def takes(self, contract: Contract) -> bool:
        """Whether signals of this contract are meant, facts aside. Live signals are never consumed."""
        if contract.delivery == "live" or (self.terminal and not contract.terminal):
            return False
        return fnmatchcase(contract.name, self.signal)

    def matches(self, facts: Mapping[str, Any]) -> bool:
        """Whether the facts meet every condition."""
        return all(facts.get(name) in allowed for name, allowed in self.where.items())


@dataclass(frozen=True, slots=True)
class Manifest:
    """A daemon as data. Durations in seconds; `lanes` says how many signals each lane handles at once.

    `files` are what the daemon reads in the configuration folder beside its own file, and judges by itself; of a folder
    (`name/`) each *.yaml in it, used or refused for itself.
    `instances` makes it a template; `usual` are those that run where the bus's configuration names none.
    """

    daemon: str
    description: str
    origin: str = "<memory>"
    instances: bool = False
    usual: tuple[str, ...] = ()
    consumes: tuple[Subscription, ...] = ()
    emits: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    listens: tuple[str, ...] = ()
    lanes: Mapping[str, int] = field(default_factory=lambda: {MAIN: 1})
    max_handling_s: float = 300.0
    start: str = "new"
    config: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    unit: Mapping[str, Any] = field(default_factory=dict)
    user: str | None = None
    budget: Budget | None = None

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """The manifest in a YAML file. Raises `ManifestError` naming the file and the key."""
        marked = _document(path)
        return cls.parse(marked.data, str(path), marked)

    @classmethod
    def of(cls, daemon: str) -> Manifest:
        """That of a daemon of this installation. Raises `ManifestError`."""
        return cls.load(Path(__file__).parent.parent / daemon / "manifest.yaml")

    @classmethod
    def parse(cls, found: Any, origin: str = "<memory>", marked: Marked | None = None) -> Manifest:
        """The manifest in parsed YAML; `marked` knows its lines. Raises `ManifestError`."""
        if not jsonschema_rs.validator_for(SCHEMA).is_valid(found):
            wrong = explain(found, SCHEMA, marked or Marked(found), Path(origin), "manifest").fields["problems"]
            raise ManifestError("\n  ".join(wrong[:SHOWN]))
        lanes = {name: int(lane.get("in_flight", 1)) for name, lane in found.get("lanes", {}).items()}
        consumes = tuple(_subscription(line) for line in found.get("consumes", ()))
        unknown = {line.lane for line in consumes} - lanes.keys() - {MAIN}
        if unknown:
            raise ManifestError(f"{origin}: consumes names the lane {sorted(unknown)[0]!r}; list it under lanes.")
        return cls(
            daemon=found["daemon"],
            description=found["description"],
            origin=origin,
            instances=found.get("instances", False) is not False,
            usual=tuple(instances) if isinstance(instances := found.get("instances"), list) else (),
            consumes=consumes,
            emits=tuple(found.get("emits", ())),
            asks=tuple(found.get("asks", ())),
            listens=tuple(found.get("listens", ())),
            lanes={MAIN: int(found.get("in_flight", 1)), **lanes},
            max_handling_s=float(found.get("max_handling_s", 300.0)),
            start=found.get("start", "new"),
            config=found.get("config", {}),
            files=tuple(found.get("files", ())),
            unit=found.get("unit", {}),
            user=found.get("user"),
            budget=Budget.of(found["budget"]) if "budget" in found else None,
        )

    @property
    def system_user(self) -> str:
        """The user it runs as on a machine with many; each instance of a template has one of its own."""
        return self.user or f"ligand-{self.daemon.replace('_', '-')}{'-%i' if self.instances else ''}"

    @property
    def may_emit(self) -> frozenset[str]:
        """Every signal this daemon may send, the frame's own and its requests included."""
        return frozenset((*self.emits, *self.asks, *RUNTIME_EMITS))

    def instance(self, name: str) -> Manifest:
        """This template for one instance: `$instance` in conditions becomes its name, `%i` in the user's name too."""

        def named(value: Any) -> Any:
            return value.replace("$instance", name) if isinstance(value, str) else value

        consumes = tuple(
            replace(
                line,
                where={key: tuple(map(named, values)) for key, values in line.where.items()},
            )
            for line in self.consumes
        )
        return replace(self, consumes=consumes, user=self.system_user.replace("%i", name))

    def sessions(self, listed: Mapping[str, Iterable[str]]) -> dict[str, Manifest]:
        """It under each name that it attaches by: its own, or one an instance of those `listed`, else the usual."""
        if not self.instances:
            return {self.daemon: self}
        names = listed.get(self.daemon, self.usual)
        return {f"{self.daemon}@{name}": self.instance(name) for name in names}

    def subscriptions(self, contract: Contract) -> tuple[Subscription, ...]:
        """The lines that mean signals of this contract, lanes before the main one."""
        return subscriptions(self.consumes, contract)

    def check(self, catalogue: Catalogue) -> None:
        """Raise `ManifestError` when it names a signal that no contract describes."""
        for name in (*self.emits, *self.asks, *self.listens):
            if name not in catalogue:
                raise ManifestError(f"{self.origin}: there is no contract for {name}.")
        for line in self.consumes:
            meant = [contract for name, contract in catalogue.items() if fnmatchcase(name, line.signal)]
            if not meant:
                raise ManifestError(f"{self.origin}: consumes {line.signal}, which no contract describes.")
            if line.where and not any(map(line.may_match, meant)):
                where = ", ".join(f"{fact}: {' or '.join(map(str, values))}" for fact, values in line.where.items())
                raise ManifestError(
                    f"{self.origin}: no {line.signal} has {where}, so it would never be heard. Its facts: "
                    f"`signal-tap info {line.signal}`."
                )


def subscriptions(lines: Iterable[Subscription], contract: Contract) -> tuple[Subscription, ...]:
    """The lines that mean signals of this contract, lanes before the main one."""
    return tuple(sorted((line for line in lines if line.takes(contract)), key=lambda line: line.lane == MAIN))


def _subscription(line: str | Mapping[str, Any]) -> Subscription:
    if isinstance(line, str):
        return Subscription(line)
    where = {name: tuple(v) if isinstance(v, list) else (v,) for name, v in line.get("where", {}).items()}
    return Subscription(line["signal"], where, line.get("lane", MAIN), line.get("terminal", False))


def packaged() -> Iterator[Path]:
    """The manifests of the daemons in this installation."""
    yield from sorted(Path(__file__).parent.parent.glob("*/manifest.yaml"))


def find(daemon: str, users: Path) -> Path:
    """Where the manifest of `daemon` is: in this installation, else among the user's. Raises `ManifestError`."""
    for path in (Path(__file__).parent.parent / daemon / "manifest.yaml", users / f"{daemon}.yaml"):
        if path.exists():
            return path
    raise ManifestError(
        f"There is no manifest for {daemon}: neither services/{daemon}/manifest.yaml nor {users / daemon}.yaml."
    )


def load_all(users: Path, paths: Iterable[Path] | None = None) -> dict[str, Manifest]:
    """Every manifest: the packaged ones, then the user's. Raises `ManifestError` for a name that stands twice.

    A user's file with the key `overlay: DAEMON` adds `emits` to a packaged daemon, and nothing else.
    """
    found = {manifest.daemon: manifest for manifest in map(Manifest.load, packaged() if paths is None else paths)}
    overlays = []
    for path in sorted(users.glob("*.yaml")):
        marked = _document(path)
        if isinstance(marked.data, Mapping) and "overlay" in marked.data:
            overlays.append((path, marked.data))
            continue
        manifest = Manifest.parse(marked.data, str(path), marked)
        if manifest.daemon in found:
            raise ManifestError(
                f"{path}: the daemon {manifest.daemon} is already described in {found[manifest.daemon].origin}."
            )
        found[manifest.daemon] = manifest
    for path, document in overlays:
        _overlay(found, path, document)
    return found


def with_overlays(manifest: Manifest, users: Path) -> Manifest:
    """One manifest with what the user's overlays add to it."""
    found = {manifest.daemon: manifest}
    for path in sorted(users.glob("*.yaml")):
        document = _document(path).data
        if isinstance(document, Mapping) and document.get("overlay") == manifest.daemon:
            _overlay(found, path, document)
    return found[manifest.daemon]


def _document(path: Path) -> Marked:
    try:
        return parse_file(path)
    except OSError as error:
        raise ManifestError(f"Cannot read the manifest {path}: {error.strerror}.") from error
    except YamlError as error:
        raise ManifestError(f"{path}:{error.line}: {error}. Mend that line.") from error


def _overlay(found: dict[str, Manifest], path: Path, document: Mapping[str, Any]) -> None:
    target = document["overlay"]
    extra = set(document) - OVERLAY_FIELDS
    if extra:
        raise ManifestError(f"{path}: an overlay may only add emits; take {sorted(extra)[0]!r} out.")
    if not isinstance(target, str) or target not in found:
        raise ManifestError(f"{path}: overlays {target!r}, which is no daemon here.")
    emits = document.get("emits", [])
    Manifest.parse({"daemon": "overlay", "description": "-", "emits": emits}, str(path))
    found[target] = replace(
        found[target], emits=(*found[target].emits, *(e for e in emits if e not in found[target].emits))
    )
