"""Work for a constellation: a chain of three daemons and what goes through it, and intents as people drop them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from services.runtime.manifest import Manifest
from services.runtime.manifest import packaged as packaged_manifests
from tests.support.constellation import Constellation, Running

SUPPORT = Path(__file__).parent
CHAIN = SUPPORT / "chain.py"
SINK = SUPPORT / "sink.py"
STEPS = ("Q_ITEM_START", "Q_ITEM_ONE", "Q_ITEM_TWO", "Q_ITEM_DONE")
LINKS = tuple(f"link_{letter}" for letter in "abc")
PACKAGED = ("intent_router", "investigator", "capability_integrator")
INTENT_ENDS = (
    "Q_MODULE_INTEGRATED",
    "Q_INTEGRATION_SKIPPED",
    "Q_INTEGRATION_FAILED",
    "Q_INVESTIGATION_FAILED",
    "Q_INVESTIGATION_TIMEOUT",
)
"""Each story of an intent ends in one of these."""

Commands = dict[str, tuple[str, ...]]
"""Daemon -> the arguments with which Python runs it."""


def packaged() -> Commands:
    """The daemons that work on dropped intents."""
    return {name: ("-m", f"services.{name}") for name in PACKAGED}


def everything() -> Commands:
    """All of Ligand's own daemons but the bus, each instance of a template by itself."""
    sessions = (name for path in packaged_manifests() for name in Manifest.load(path).sessions({}))
    parts = {name: name.partition("@") for name in sessions if name != "bus"}
    return {name: ("-m", f"services.{daemon}", *filter(None, [of])) for name, (daemon, _, of) in parts.items()}


def chain(home: Constellation, in_flight: int = 1, **facts: Any) -> Commands:
    """Contracts and manifests of three daemons that hand an item on; each counts in its state what it did."""
    described = {"n": {"type": "integer"}, "pad": {"type": "string"}, **facts}
    example = {key: {"integer": 1, "string": ""}[value["type"]] for key, value in described.items()}
    for name in STEPS:
        home.contract(name, described, example=example)
    commands: Commands = {}
    for name, (takes, gives) in zip(LINKS, pairwise(STEPS), strict=True):
        home.manifest(name, consumes=[takes], emits=[gives], in_flight=in_flight)
        commands[name] = (str(CHAIN), name, takes, gives)
    return commands


def sink(home: Constellation, name: str, takes: str, in_flight: int = 1) -> Commands:
    """A consumer beside the chain, which only acknowledges."""
    home.manifest(name, consumes=[takes], in_flight=in_flight)
    return {name: (str(SINK), name, takes)}


def start_all(home: Constellation, commands: Commands) -> dict[str, Running]:
    """Start them together, and wait until all are ready."""
    started = {name: home.start(name, *command) for name, command in commands.items()}
    for running in started.values():
        running.ready()
    return started


def drop(folder: Path, module: str, name: str, question_id: str | None = None) -> None:
    """An intent about a module of the standard library, put in place by renaming."""
    data = {"question": f"What does the {module} module do?", "evidence": [f"module:{module}"]}
    intent = {"type": "discover.module", "id": question_id or f"discover.module.{module}", "data": data}
    fresh = folder / f".{name}"
    fresh.write_text(json.dumps(intent))
    fresh.rename(folder / f"{name}.json")
