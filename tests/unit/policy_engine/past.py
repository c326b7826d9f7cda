"""An engine with its memory, and a rule, for the tests of what rules make of signals."""

from __future__ import annotations

from typing import Any

from services.policy_engine.expressions import Environment
from services.policy_engine.loading import checker
from services.policy_engine.logic import Engine
from services.policy_engine.memory import Memory
from services.policy_engine.model import Action, Decision, Rule
from signals.catalogue import Catalogue
from signals.envelope import rfc3339
from signals.ids import uuid7

CATALOGUE = Catalogue.load()
ENVIRONMENT = Environment(CATALOGUE)
NAME = "Q_PROMOTIONS_DETECTED"
DO = (Action("Q_DREAM_TRIGGER", {"reason": "x", "topic": None, "promotion_count": 1}),)
START = 1_700_000_000.0


def compiled(text: str, other: str | None = None) -> Any:
    return ENVIRONMENT.compile(text, [NAME], other=other)


FRESH = ("fresh", compiled("event.facts.unacknowledged_count >= 1"))
RULE = Rule("one", (NAME,), "enforce", (FRESH,), compiled("event.facts.promotions_path"), do=DO)


class Past:
    """An engine with its memory, told of signals at seconds after the start."""

    def __init__(self, *rules: Rule) -> None:
        self.engine = Engine(rules, ENVIRONMENT, checker(CATALOGUE))
        self.state: dict[str, Any] = {}
        self.told: list[Decision] = []

    def _keep(self, memory: Memory) -> None:
        for name, value in memory.changes.items():
            if value is None:
                self.state.pop(name, None)
            else:
                self.state[name] = value

    def hear(self, at: float, count: int = 1, path: str = "/p", name: str = NAME, **more: Any) -> list[Decision]:
        facts: dict[str, Any] = {
            "promotion_count": count, "unacknowledged_count": count, "oldest_promotion_age_hours": 1,
            "last_dream_time": None, "promotions_path": path, "promotion_ids": [],
        }  # fmt: skip
        event = {"signal": name, "id": uuid7(), "received_at": rfc3339(START + at), "facts": facts} | more
        memory = Memory(self.state)
        found = self.engine.on_event(event, START + at, memory)
        self._keep(memory)
        self.told += found
        return found

    def outcomes(self, at: float, count: int = 1, **more: Any) -> list[str]:
        return [str(decision.outcome) for decision in self.hear(at, count, **more)]

    def due(self, until: float) -> list[Decision]:
        memory = Memory(self.state)
        found = list(self.engine.due(START + until, memory))
        self._keep(memory)
        return found

    def wait(self, until: float) -> list[str]:
        return [str(decision.outcome) for decision in self.due(until)]
