"""A constellation with everything on: all of Ligand's daemons, two model servers, a person's rules and daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from services.runtime.manifest import packaged
from signals.envelope import Signal
from tests.live.investigator.conftest import about, claim
from tests.support.constellation import Constellation, Running, constellation
from tests.support.model_server import ModelServer, model_server
from tests.support.raw import Raw

ROLES = ("primary", "research")
DAEMONS = sorted({path.parent.name for path in packaged()} - {"bus", "model_worker"})
CUP = {"cup": {"type": "string"}}
TEA_MAKER = """
from services.runtime import Daemon
daemon = Daemon("tea_maker")

@daemon.on("Q_TEA_WANTED")
async def make(signal, emit):
    emit("Q_TEA_MADE", cup=signal.facts["cup"])

daemon.run()
"""


def circle(name: str, key: str) -> dict:
    """A rule that wants tea whenever there is some: a circle through the tea maker, braked as its key lets it be."""
    return {
        "id": name,
        "mode": "enforce",
        "signals": ["Q_TEA_MADE"],
        "when": [{"mine": f"event.facts.cup == '{name}'"}],
        "key": key,
        "cooldown": "1h",
        "do": [{"emit": "Q_TEA_WANTED", "facts": {"cup": "=event.facts.cup"}}],
    }


class Everything:
    """The constellation. `near` and `far` are the model servers, in the order of the configuration."""

    def __init__(self, home: Constellation, near: ModelServer, far: ModelServer) -> None:
        self.home, self.near, self.far = home, near, far
        self.by_name: dict[str, Running] = {}
        self.root, self.promotions = home.home / "root", home.home / "promotions"
        self.rules = home.paths.config / "policies.yaml"
        self.root.mkdir()
        self.promotions.mkdir()
        self._configure()

    def _configure(self) -> None:
        home, roots = self.home, {"roots": [str(self.root)]}
        quick = {"interval_s": 0.1, "settle_s": 0.5}
        home.config("advisory_monitor", {"promotions": quick, "modules": roots | quick})
        home.config("investigator", roots | {"interpreter_library": False})
        servers = [{"base_url": one.url} for one in (self.near, self.far)]
        for role in ROLES:
            tries = {"retries": {"rounds": 1}, "probe": {"interval_s": 0.2, "timeout_s": 5}}
            home.config(f"model_worker@{role}", {"servers": servers, **tries})
        home.contract("Q_TEA_WANTED", CUP, example={"cup": "a"})
        home.contract("Q_TEA_MADE", CUP, example={"cup": "a"})
        home.manifest("tea_maker", consumes=["Q_TEA_WANTED"], emits=["Q_TEA_MADE"])
        home.manifest("person", emits=["Q_CURIOSITY_INVESTIGATE", "Q_USER_VOICE", "Q_TEA_MADE"])
        (home.paths.manifests / "tea.yaml").write_text(
            yaml.safe_dump({"overlay": "policy_engine", "emits": ["Q_TEA_WANTED"]})
        )
        rules = [circle("braked", "event.facts.cup"), circle("endless", "event.id")]
        self.rules.write_text(yaml.safe_dump({"version": 1, "rules": rules}))

    def start(self, *names: str) -> None:
        """Start these, the bus first and the others beside each other, and wait until all are ready."""
        if "bus" in names:
            self.by_name["bus"] = self.home.bus()
        for name in names:
            service, _, role = name.partition("@")
            if name != "bus":
                arguments = ("-m", f"services.{service}", *([role] if role else []))
                self.by_name[name] = self.home.start(name, *arguments)
        for name in names:
            if name != "bus":
                self.by_name[name].ready()

    def start_all(self) -> None:
        self.start("bus", *DAEMONS, *(f"model_worker@{role}" for role in ROLES))
        self.home.script("tea_maker", TEA_MAKER).ready()

    def kill(self, *names: str) -> None:
        for name in names:
            self.by_name[name].kill()

    def drop_module(self, name: str) -> None:
        folder = self.root / name
        folder.mkdir()
        (folder / "__init__.py").write_text(f'"""Looks after the {name}."""\n\n\ndef open_{name}() -> None: ...\n')

    def promote(self, *names: str) -> None:
        for name in names:
            (self.promotions / f"{name}.json").write_text("{}")

    def say(self, name: str, **facts) -> Signal:
        """Emit as a person."""
        with Raw(self.home.paths) as person:
            signal = person.make(name, facts)
            person.emit(signal)
        return signal

    def story(self, root: Signal, *names: str) -> list[Signal]:
        """A signal that nothing caused, and what followed from it, in order."""
        return [one for one in self.home.signals(*names) if one.correlation_id == root.id]


@pytest.fixture
def everything(tmp_path: Path) -> Iterator[Everything]:
    with model_server() as near, model_server() as far, constellation(tmp_path) as home:
        near.usual = about(claim("Waters what grows.", "E1"))
        far.usual = about(claim("Keeps people out.", "E1"))
        found = Everything(home, near, far)
        found.start_all()
        yield found
