"""Folders, manifests, units, contracts and docs match, so that no central list of daemons is needed."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contracts.planting import plant

ROOT = Path(__file__).resolve().parents[2]
# Rooms without a daemon in them: what daemons share. Such a one has no manifest and nothing runs it.
LIBRARIES = ("runtime", "experiments")
# What the frame emits for every daemon, without its manifest saying so.
IMPLIED = {
    "Q_DAEMON_READY",
    "Q_DAEMON_STOPPING",
    "Q_HEARTBEAT",
    "Q_CONFIGURATION_RELOADED",
    "Q_CONFIGURATION_REFUSED",
}
# What the bus's manifest must list; the time-outs it emits stand in the contracts.
FROM_THE_BUS = {"Q_DEAD_LETTER_ADDED", "Q_CONSUMER_LAGGING", "Q_CONSUMER_RECOVERED", "Q_JOURNAL_PRESSURE"}


@dataclass(frozen=True)
class Hearing:
    """One entry of `consumes` or `listens`: a name or a glob, perhaps only what ends a story."""

    pattern: str
    terminal: bool = False

    @classmethod
    def of(cls, entry: str | dict[str, Any]) -> Hearing:
        if isinstance(entry, str):
            return cls(entry)
        return cls(str(entry.get("signal")), bool(entry.get("terminal")))

    def hears(self, name: str, contract: dict[str, Any]) -> bool:
        return fnmatchcase(name, self.pattern) and (not self.terminal or bool(contract.get("terminal")))


@dataclass(frozen=True)
class Room:
    name: str
    manifest: dict[str, Any]

    def listed(self, key: str) -> list[Any]:
        return self.manifest.get(key) or []

    @property
    def speaks(self) -> set[str]:
        return {*self.listed("emits"), *self.listed("asks"), *IMPLIED}

    @property
    def hears(self) -> list[Hearing]:
        return [Hearing.of(entry) for entry in (*self.listed("consumes"), *self.listed("listens"))]


@dataclass(frozen=True)
class Tree:
    """The project, or a small one that a test has planted."""

    root: Path

    @property
    def folders(self) -> list[Path]:
        rooms = (path for path in sorted((self.root / "services").iterdir()) if path.is_dir())
        return [path for path in rooms if path.name not in (*LIBRARIES, "__pycache__") and any(path.glob("*.*"))]

    @property
    def libraries(self) -> list[Path]:
        return [path for name in LIBRARIES if (path := self.root / "services" / name).is_dir()]

    @cached_property
    def rooms(self) -> list[Room]:
        files = [folder / "manifest.yaml" for folder in self.folders]
        loaded = [(file.parent.name, yaml.safe_load(file.read_text())) for file in files if file.is_file()]
        return [Room(name, manifest) for name, manifest in loaded if isinstance(manifest, dict)]

    @cached_property
    def contracts(self) -> dict[str, dict[str, Any]]:
        """Name -> what the contract says to the bus (`x-ligand`)."""
        files = sorted((self.root / "signals" / "contracts").glob("*.json"))
        return {file.stem: json.loads(file.read_text()).get("x-ligand", {}) for file in files}

    @cached_property
    def expectations(self) -> dict[str, dict[str, Any]]:
        return {name: said["expects"] for name, said in self.contracts.items() if said.get("expects")}

    @property
    def spoken(self) -> dict[str, str]:
        """Every signal that is emitted -> who emits it."""
        timeouts = {said["timeout"]: "bus" for said in self.expectations.values()} if self.rooms else {}
        return timeouts | {signal: room.name for room in self.rooms for signal in sorted(room.speaks)}

    def heard(self, name: str) -> bool:
        """Whether some daemon consumes or listens to it, or gets it as the answer to what it asks."""
        contract = self.contracts.get(name, {})
        consumed = any(hearing.hears(name, contract) for room in self.rooms for hearing in room.hears)
        asked = {signal for room in self.rooms for signal in room.listed("asks")}
        expected = (self.expectations.get(request, {}) for request in asked)
        return consumed or any(name in (*said["answers"], said["timeout"]) for said in expected if said)


def is_one_docstring(file: Path) -> bool:
    tree = ast.parse(file.read_text())
    return len(tree.body) == 1 and ast.get_docstring(tree) is not None


def unit_of(name: str, manifest: dict[str, Any]) -> str:
    return f"ligand-{name.replace('_', '-')}{'@' if manifest.get('instances') else ''}.service"


def missing_parts(tree: Tree) -> Iterator[str]:
    for folder in tree.folders:
        where = f"services/{folder.name}"
        for part in ("__init__.py", "__main__.py", "manifest.yaml"):
            if not (folder / part).is_file():
                yield f"{where}/{part} is missing"
        init = folder / "__init__.py"
        if init.is_file() and not is_one_docstring(init):
            yield f"{where}/__init__.py must be one docstring that says what the daemon is for"


def run_as_daemons(tree: Tree) -> Iterator[str]:
    for folder in tree.libraries:
        for part in ("__main__.py", "manifest.yaml"):
            if (folder / part).exists():
                yield f"services/{folder.name}/{part}: a library that daemons share runs nothing and has no manifest"


def misnamed(tree: Tree) -> Iterator[str]:
    for room in tree.rooms:
        if room.manifest.get("daemon") != room.name:
            yield f"services/{room.name}/manifest.yaml names the daemon {room.manifest.get('daemon')!r}"


def units(tree: Tree) -> Iterator[str]:
    for room in tree.rooms:
        unit = tree.root / "systemd" / unit_of(room.name, room.manifest)
        if not unit.is_file():
            yield f"services/{room.name} has no unit systemd/{unit.name}"
        elif not re.search(rf"^ExecStart=.* -m services\.{room.name}\b", unit.read_text(), re.MULTILINE):
            yield f"systemd/{unit.name}: ExecStart does not run -m services.{room.name}"
    known = {folder.name for folder in tree.folders}
    for unit in sorted((tree.root / "systemd").glob("*.service")):
        for name in re.findall(r"^ExecStart=.* -m services\.(\w+)", unit.read_text(), re.MULTILINE):
            if name not in known:
                yield f"systemd/{unit.name} runs services.{name}, which is not there"


def unbudgeted(tree: Tree) -> Iterator[str]:
    for room in tree.rooms:
        if not room.manifest.get("budget"):
            yield f"services/{room.name}/manifest.yaml has no budget: what it may use, what it emits by the clock"


def undocumented(tree: Tree) -> Iterator[str]:
    page = tree.root / "docs" / "architecture.md"
    text = page.read_text() if page.is_file() else ""
    named = set(re.findall(r"`(\w+)`", text))
    for folder in tree.folders:
        if folder.name not in named:
            yield f"docs/architecture.md does not name `{folder.name}`"
    for folder in tree.libraries:
        if f"`services/{folder.name}/`" not in text:
            yield f"docs/architecture.md does not name the room `services/{folder.name}/`"


def without_contract(tree: Tree) -> Iterator[str]:
    for room in tree.rooms:
        where = f"services/{room.name}/manifest.yaml"
        for name in sorted(room.speaks - tree.contracts.keys()):
            yield f"{where}: {name} has no contract in signals/contracts"
        for hearing in room.hears:
            if not any(hearing.hears(name, said) for name, said in tree.contracts.items()):
                yield f"{where}: no contract in signals/contracts fits {hearing.pattern}"
    for request, said in tree.expectations.items():
        for name in (*said["answers"], said["timeout"]):
            if name not in tree.contracts:
                yield f"signals/contracts/{request}.json expects {name}, which has no contract"


def unheard(tree: Tree) -> Iterator[str]:
    for name, emitter in tree.spoken.items():
        excused = bool(tree.contracts.get(name, {}).get("unconsumed"))
        if name in tree.contracts and not excused and not tree.heard(name):
            yield f"{name} of {emitter} has no consumer, and its contract does not say why (unconsumed)"


def unspoken(tree: Tree) -> Iterator[str]:
    """What nobody emits; intents are emitted by people, whom no manifest describes."""
    intents = {name for name, said in tree.contracts.items() if said.get("kind") == "intent"}
    for room in tree.rooms:
        for hearing in room.hears:
            if not any(hearing.hears(name, tree.contracts.get(name, {})) for name in {*tree.spoken, *intents}):
                yield f"services/{room.name}/manifest.yaml: nobody emits {hearing.pattern}"


def untold(tree: Tree) -> Iterator[str]:
    for room in tree.rooms:
        if room.name == "bus":
            for name in sorted(FROM_THE_BUS - room.speaks):
                yield f"services/bus/manifest.yaml does not list {name} under emits"


def faults(root: Path) -> list[str]:
    rooms = (missing_parts, run_as_daemons, misnamed, units, unbudgeted, undocumented)
    checks = (*rooms, without_contract, unheard, unspoken, untold)
    tree = Tree(root)
    return [fault for check in checks for fault in check(tree)]


def test_every_daemon_is_whole_and_every_signal_has_two_ends() -> None:
    """A daemon without its unit never starts; a signal without a consumer is work that silently stops."""
    assert faults(ROOT) == []


def contract(**said: Any) -> str:
    return json.dumps({"type": "object", "x-ligand": {"kind": "system", "version": 1} | said})


def unit(name: str) -> str:
    return f"[Service]\nExecStart=/opt/ligand/bin/python -m services.{name}\n"


def manifest(name: str, **said: Any) -> str:
    return yaml.safe_dump({"daemon": name, "description": "x", "instances": False, "budget": {"cpu": 1}} | said)


def room(name: str, **said: Any) -> dict[str, str]:
    return {
        f"services/{name}/__init__.py": '"""What it is for."""\n',
        f"services/{name}/__main__.py": "",
        f"services/{name}/manifest.yaml": manifest(name, **said),
        f"systemd/{unit_of(name, said)}": unit(name),
    }


GOOD: dict[str, str | None] = {
    "services/__init__.py": "",
    "services/runtime/__init__.py": "",
    "services/experiments/__init__.py": "",
    **{f"signals/contracts/{name}.json": contract(unconsumed="for people") for name in IMPLIED | FROM_THE_BUS},
    "signals/contracts/Q_WORK_WANTED.json": contract(
        expects={"answers": ["Q_WORK_DONE"], "within_s": 600, "timeout": "Q_WORK_TIMEOUT"}
    ),
    "signals/contracts/Q_WORK_DONE.json": contract(terminal=True),
    "signals/contracts/Q_WORK_TIMEOUT.json": contract(terminal=True),
    **room("bus", emits=sorted(FROM_THE_BUS)),
    **room(
        "asker",
        emits=["Q_WORK_WANTED"],
        consumes=[{"signal": "Q_*", "terminal": True}],
        listens=["Q_HEARTBEAT"],
    ),
    **room(
        "night_worker",
        consumes=[{"signal": "Q_WORK_WANTED", "lane": "x"}],
        emits=["Q_WORK_DONE"],
        instances=True,
    ),
    "docs/architecture.md": "`bus` `asker` `night_worker` `services/runtime/` `services/experiments/`\n",
}


def test_the_checker_accepts_a_whole_tree(tmp_path: Path) -> None:
    """A test that refuses what is right would be worked around."""
    assert faults(plant(tmp_path, GOOD)) == []


def test_an_answer_to_a_question_needs_no_other_consumer(tmp_path: Path) -> None:
    """The asker gets its answers without consuming them; it must not be made to."""
    asker: dict[str, str | None] = {"services/asker/manifest.yaml": manifest("asker", asks=["Q_WORK_WANTED"])}
    assert faults(plant(tmp_path, GOOD | asker)) == []


def test_a_tree_without_daemons_has_no_faults(tmp_path: Path) -> None:
    """What an interrupted checkout leaves behind, a folder of caches, is not a daemon."""
    plant(tmp_path, {"services/__init__.py": "", "services/gone/__pycache__/x.pyc": ""})
    assert faults(tmp_path) == []


WANTED = "signals/contracts/Q_WORK_WANTED.json"
WORKER = "services/night_worker/manifest.yaml"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"services/asker/__init__.py": None}, "services/asker/__init__.py is missing"),
        ({"services/asker/__init__.py": "import os\n"}, "services/asker/__init__.py must be one docstring"),
        (
            {"services/asker/__init__.py": '"""X."""\nx = 1\n'},
            "services/asker/__init__.py must be one docstring",
        ),
        ({"services/asker/__main__.py": None}, "services/asker/__main__.py is missing"),
        ({WORKER: None}, "services/night_worker/manifest.yaml is missing"),
        ({WORKER: manifest("worker", instances=True)}, "names the daemon 'worker'"),
        ({"systemd/ligand-asker.service": None}, "services/asker has no unit systemd/ligand-asker.service"),
        (
            {
                "systemd/ligand-night-worker@.service": None,
                "systemd/ligand-night-worker.service": unit("night_worker"),
            },
            "no unit systemd/ligand-night-worker@.service",
        ),
        ({"systemd/ligand-asker.service": unit("bus")}, "ExecStart does not run -m services.asker"),
        ({"systemd/ligand-gone.service": unit("gone")}, "runs services.gone, which is not there"),
        (
            {"docs/architecture.md": "`bus` asker `night_worker` `services/runtime/`\n"},
            "docs/architecture.md does not name `asker`",
        ),
        (
            {"docs/architecture.md": "`bus` `asker` `night_worker` `services/runtime/`\n"},
            "does not name the room `services/experiments/`",
        ),
        (
            {"services/experiments/manifest.yaml": manifest("experiments")},
            "services/experiments/manifest.yaml: a library",
        ),
        ({"services/experiments/__main__.py": ""}, "services/experiments/__main__.py: a library"),
        (
            {"signals/contracts/Q_WORK_DONE.json": None},
            "night_worker/manifest.yaml: Q_WORK_DONE has no contract",
        ),
        (
            {"signals/contracts/Q_WORK_DONE.json": None},
            "Q_WORK_WANTED.json expects Q_WORK_DONE, which has no contract",
        ),
        ({"signals/contracts/Q_WORK_TIMEOUT.json": None}, "expects Q_WORK_TIMEOUT, which has no contract"),
        ({"signals/contracts/Q_DAEMON_READY.json": None}, "Q_DAEMON_READY has no contract"),
        ({WORKER: manifest("night_worker", instances=True, asks=["Q_X"])}, "Q_X has no contract"),
        (
            {WORKER: manifest("night_worker", instances=True, consumes=["Q_X_*"])},
            "no contract in signals/contracts fits",
        ),
        ({WORKER: manifest("night_worker", instances=True)}, "Q_WORK_WANTED of asker has no consumer"),
        ({"signals/contracts/Q_WORK_DONE.json": contract()}, "Q_WORK_DONE of night_worker has no consumer"),
        ({"signals/contracts/Q_WORK_TIMEOUT.json": contract()}, "Q_WORK_TIMEOUT of bus has no consumer"),
        ({WORKER: manifest("night_worker", instances=True, budget=None)}, "night_worker/manifest.yaml has no budget"),
        ({"services/asker/manifest.yaml": manifest("asker")}, "nobody emits Q_WORK_WANTED"),
        ({"services/bus/manifest.yaml": manifest("bus")}, "does not list Q_JOURNAL_PRESSURE under emits"),
    ],
)
def test_the_checker_names_each_fault(tmp_path: Path, change: dict[str, str | None], said: str) -> None:
    """A checker that cannot fail would let a daemon without unit, contract or consumer through."""
    found = faults(plant(tmp_path, GOOD | change))
    assert [fault for fault in found if said in fault], found
