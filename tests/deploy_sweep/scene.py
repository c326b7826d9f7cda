"""A small world for one deployment: an experiment, its target, and a bus that remembers what it was told.

Real files, the real deployer; measured is in this process, so that a deployment takes milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from services.experiments.targets import values_in
from services.winner_deployer import checks, logic
from services.winner_deployer.backups import Backups
from services.winner_deployer.deploying import Deployer, Settings
from services.winner_deployer.ledger import Ledger
from signals.catalogue import Catalogue

OLD = b"# what it goes by\nnear: 0.5   # by hand\nother: [1, 2]\n"
THEIRS = b"# mine\nnear: 0.6\n"
EXPERIMENT = """\
about: a sweep
target: {file: x.yaml, format: yaml, keys: {near: near}, daemon: semantic_dedup}
search_space: {near: {type: float, low: 0.1, high: 0.95}}
evaluate: {command: ["true"], repeats: 5}
objective: {metrics: {f1: maximize}}
autonomy: deploy
"""
SIGNAL = "01935b0e-6a70-7cc3-98c4-dc0c0c07398f"
NOW = 1_764_000_000.0
CATALOGUE = Catalogue.load()


class Remembering:
    """The bus: one line for each key, and what the daemon read last."""

    def __init__(self, folder: Path) -> None:
        self._told = folder / "told.jsonl"
        self._target = folder / "config" / "x.yaml"
        self._loaded = folder / "loaded"

    def said(self) -> list[dict[str, Any]]:
        if not self._told.exists():
            return []
        return [json.loads(line) for line in self._told.read_bytes().splitlines()]

    def tell(self, name: str, facts: Mapping[str, Any], key: str, because: str) -> None:
        CATALOGUE[name].check(facts)
        same = [one for one in self.said() if one["key"] == key]
        assert all(one["facts"] == facts for one in same), "a key stands for one content"
        if not same:
            handle = os.open(self._told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(handle, json.dumps({"key": key, "signal": name, "facts": facts}).encode() + b"\n")
            os.close(handle)

    def reload(self, facts: Mapping[str, Any], because: str) -> str:
        content = self._target.read_bytes()
        self._loaded.write_bytes(content)
        return "" if hashlib.sha256(content).hexdigest() == facts["sha256"] else "it read something else"


class _Silent:
    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


def lay(folder: Path, near: float) -> None:
    """The world before: a winner with this value is accepted, nothing is done yet."""
    (folder / "config" / "experiments").mkdir(parents=True)
    (folder / "config" / "experiments" / "near.yaml").write_text(EXPERIMENT)
    (folder / "config" / "x.yaml").write_bytes(OLD)
    (folder / "loaded").write_bytes(OLD)
    (folder / "state").mkdir()
    winner = {"winner_id": "w", "experiment": "near", "params": {"near": near}, "target": "x"}
    with_ledger(
        folder, lambda deployer: deployer.accept(logic.accepted(SIGNAL, {"cycle_id": "c", "winners": [winner]}, []))
    )


def want_back(folder: Path) -> None:
    """A person wants the old values back."""
    record = {"id": logic.id_of(SIGNAL, 0), "step": "undo_wanted", "signal_id": "person", "by": "person@x"}
    with_ledger(folder, lambda deployer: deployer.ledger.note(record))


def with_ledger(folder: Path, act: Any) -> None:
    """Do something with a deployer that is closed afterwards."""
    ledger = Ledger(folder / "state" / "ledger.jsonl")
    try:
        backups, bus = Backups(folder / "state" / "backups"), Remembering(folder)
        act(Deployer(ledger, backups, folder / "config", bus, Settings(60.0, 9, ()), log=_Silent()))
    finally:
        ledger.close()


def work(folder: Path) -> None:
    """Start the deployer on what is there, and let it do all that is to be done."""

    def measured(experiment: Any, params: Mapping[str, Any], wait: Any) -> list[dict[str, float]]:
        found = values_in(experiment, (folder / "config" / "x.yaml").read_bytes())
        assert found == params, "what is measured is what stands there"
        return [{"f1": 1 - abs(float(params["near"]) - 0.8)}] * 5

    def all_of_it(deployer: Deployer) -> None:
        while deployer.work():
            pass

    with patch.object(checks, "measured", measured), patch("time.time", lambda: NOW):
        with_ledger(folder, all_of_it)
