"""What the deployer tells is always what the bus carries: a signal that it refused could never be told at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy_sweep import scene
from tests.deploy_sweep.scene import Remembering


@pytest.fixture
def laid(tmp_path: Path) -> Path:
    scene.lay(tmp_path, 0.8)
    return tmp_path


def change(folder: Path, **target: Any) -> None:
    path = folder / "config" / "experiments" / "near.yaml"
    said = yaml.safe_load(path.read_text())
    said["target"] |= target
    said["target"] = {key: value for key, value in said["target"].items() if value is not None}
    path.write_text(yaml.safe_dump(said, sort_keys=False))


def test_a_reload_of_many_units_is_reported_in_words_that_fit(laid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longer the list of what a rule is missing for, the more a person needs to hear of it."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    change(laid, daemon=None, reload=["systemctl", "reload", *(f"{'u' * 40}{nth}.service" for nth in range(60))])
    scene.work(laid)
    (told,) = Remembering(laid).said()
    assert (told["signal"], told["facts"]["mode"]) == ("Q_DEPLOYMENT_PROPOSED", "report")
    assert "It takes a rule of polkit" in told["facts"]["why"]


def test_a_target_whose_name_is_long_is_told_by_its_end(laid: Path) -> None:
    """A deep folder is no reason to be silent about what was deployed in it."""
    deep = Path(*["d" * 60] * 5, "x.yaml")
    (laid / "config" / deep).parent.mkdir(parents=True)
    (laid / "config" / deep).write_bytes(b"a file that is no YAML: [")
    change(laid, file=str(deep), daemon=None)
    scene.work(laid)
    (told,) = Remembering(laid).said()
    assert (told["signal"], told["facts"]["reason"]) == ("Q_DEPLOYMENT_FAILED", "target_invalid")
    assert told["facts"]["target"].endswith("/x.yaml")
