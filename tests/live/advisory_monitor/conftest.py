"""A bus with the advisory monitor on it, of which a test switches on the checks it wants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.runtime.manifest import packaged
from tests.support.constellation import Constellation, Running, constellation, others

MANIFEST = next(path for path in packaged() if path.parent.name == "advisory_monitor")
CHECKS = sorted(
    name
    for name, section in yaml.safe_load(MANIFEST.read_text())["config"]["properties"].items()
    if "enabled" in section.get("properties", {})
)


class Watched:
    """The constellation of one test, and the monitor's configuration."""

    def __init__(self, home: Constellation) -> None:
        self.home = home

    @property
    def promotions(self) -> Path:
        return self.home.home / "promotions"

    def promote(self, *names: str) -> None:
        """Drop promotions, as a person does it."""
        self.promotions.mkdir(exist_ok=True)
        for name in names:
            (self.promotions / f"{name}.json").write_text("{}")

    def config(self, **checks: dict[str, Any]) -> None:
        """Switch on these checks alone, with these settings."""
        whole = {name: {"enabled": name in checks, **checks.get(name, {})} for name in CHECKS}
        self.home.config("advisory_monitor", whole)

    def start(self) -> Running:
        """The monitor, ready."""
        return self.home.daemon("advisory_monitor").ready()

    def emit(self, name: str, **facts: Any) -> None:
        """Emit as whoever runs the bus."""
        with self.home.emitter() as sensor:
            sensor.emit(sensor.signal(name, facts))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A bus, and a place for what is watched; the monitor is started by the test."""
    with constellation(tmp_path) as home:
        home.config("bus", {"disable": others("advisory_monitor", "policy_engine")})
        home.bus()
        yield Watched(home)
