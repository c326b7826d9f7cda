"""A bus with the policy engine on it, and nothing else of Ligand's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.constellation import Constellation, Running, constellation, others

PROMOTIONS: dict[str, Any] = {
    "promotion_count": 3,
    "unacknowledged_count": 3,
    "oldest_promotion_age_hours": 1,
    "last_dream_time": None,
    "promotions_path": "/srv/promotions",
    "promotion_ids": ["p-1", "p-2", "p-3"],
}
DREAM = {"emit": "Q_DREAM_TRIGGER", "facts": {"reason": "waiting", "topic": None, "promotion_count": 1}}


class Policies:
    """The constellation, and the rules of one test."""

    def __init__(self, home: Constellation) -> None:
        self.home = home

    @property
    def file(self) -> Path:
        return self.home.paths.config / "policies.yaml"

    def rules(self, *rules: dict[str, Any], **more: Any) -> None:
        """Write `policies.yaml`; rules enforce and have no cooldown unless they say so."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        whole = {"version": 1, "defaults": {"mode": "enforce", "cooldown": "0s"}, "rules": list(rules), **more}
        self.file.write_text(yaml.safe_dump(whole))

    def start(self) -> Running:
        """The engine, ready."""
        return self.home.daemon("policy_engine").ready()


@pytest.fixture
def policies(tmp_path: Path) -> Iterator[Policies]:
    """A bus, and a place for rules; the engine is started by the test, which emits as whoever runs the bus."""
    with constellation(tmp_path) as home:
        home.config("bus", {"disable": others("policy_engine")})
        home.config("policy_engine", {"default_rules": False})
        home.bus()
        yield Policies(home)
