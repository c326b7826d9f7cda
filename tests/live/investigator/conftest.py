"""A constellation with an investigator and a research worker, and somebody who asks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signals.envelope import Signal
from signals.live import Subscription
from tests.support.constellation import Constellation, Running, constellation, others
from tests.support.model_server import ModelServer, Plan, says
from tests.support.raw import Raw, attached

ENDS = ("Q_INVESTIGATION_COMPLETE", "Q_INVESTIGATION_FAILED", "Q_INVESTIGATION_TIMEOUT")


class Desk:
    """The constellation; `code` is the investigator's root."""

    def __init__(self, home: Constellation, code: Path) -> None:
        self.home = home
        self.code = code
        self.asked = 0
        home.config(
            "bus",
            {
                "disable": others("investigator", "model_worker", "policy_engine"),
                "instances": {"model_worker": ["research"]},
            },
        )
        home.manifest("asker", emits=["Q_CURIOSITY_INVESTIGATE"])

    def module(self, name: str, text: str = '"""Watches the door."""\n\ndef watch(camera): ...\n') -> None:
        (self.code / name).mkdir(exist_ok=True)
        (self.code / name / "__init__.py").write_text(text)

    def start(self, *servers: ModelServer | str, **config: Any) -> Running:
        """Bus, research worker and investigator; the worker has told of its servers before anything is asked."""
        entries = [{"base_url": one if isinstance(one, str) else one.url, "max_concurrent": 2} for one in servers]
        quick = {"retries": {"rounds": 1, "backoff_s": 0.01}, "probe": {"interval_s": 0.2, "timeout_s": 5}}
        self.home.config("model_worker@research", {"servers": entries, **quick})
        self.home.config("investigator", {"roots": [str(self.code)], "interpreter_library": False, **config})
        self.home.bus()
        self.home.start("model_worker@research", "-m", "services.model_worker", "research").ready()
        return self.investigator()

    def investigator(self) -> Running:
        return self.home.daemon("investigator").ready()

    def ask(
        self, module: str | None = None, question: str = "What is it for?", by: str | None = None, **facts: Any
    ) -> Signal:
        """Ask as a person, or as the daemon that `by` names."""
        self.asked += 1
        whole = {"question": question, "question_id": f"q{self.asked}", "priority": "normal", "evidence": [], **facts}
        if module:
            whole["module_path"] = module
        with Raw(self.home.paths) if by is None else attached(self.home.paths, by) as asker:
            signal = asker.make("Q_CURIOSITY_INVESTIGATE", whole)
            asker.emit(signal)
        return signal

    def ends(self, asked: Signal) -> list[Signal]:
        return [one for one in self.home.signals(*ENDS) if one.causation_id == asked.id]

    def end(self, asked: Signal) -> Signal:
        """The one end of a question."""
        deadline = time.monotonic() + 40
        with Subscription(self.home.paths.mirror_socket, ("Q_INVESTIGATION_",)) as woken:
            while not (found := self.ends(asked)):
                assert time.monotonic() < deadline, [one.tail(3000) for one in self.home.running]
                woken.wait(1.0)
        (only,) = found
        return only


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    code = tmp_path / "code"
    code.mkdir()
    with constellation(tmp_path / "home") as home:
        yield Desk(home, code)


def claim(text: str, *evidence: str) -> dict[str, Any]:
    return {"text": text, "evidence": list(evidence)}


def about(purpose: dict[str, Any], **more: Any) -> Plan:
    """What a model says of a module."""
    whole = {"capabilities": [], "integration_points": [], "risks": [], "confidence": 0.9, "unknowns": []}
    return says(json.dumps({"purpose": purpose, **whole, **more}))
