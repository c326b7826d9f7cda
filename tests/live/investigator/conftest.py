"""A constellation with an investigator and a research worker, and somebody who asks."""

from __future__ import annotations

import contextlib
import json
import signal as os_signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signals.envelope import Signal
from signals.live import Subscription
from tests.leaks import nothing_left
from tests.support.constellation import Constellation, Running, constellation, others
from tests.support.model_server import ModelServer, Plan, model_server, says
from tests.support.raw import Raw, attached

WORKER = "model_worker@research"
QUICK = {"retries": {"rounds": 1, "backoff_s": 0.01}, "probe": {"interval_s": 0.2, "timeout_s": 5}}
RELOADED = "Q_CONFIGURATION_RELOADED"
ENDS = ("Q_INVESTIGATION_COMPLETE", "Q_INVESTIGATION_FAILED", "Q_INVESTIGATION_TIMEOUT")


class Desk:
    """The constellation, which the tests of a file share; `code` is the investigator's root, `server` the model server.

    Each test asks about modules of its own: what was answered about others is remembered.
    """

    def __init__(self, home: Constellation, code: Path, server: ModelServer) -> None:
        self.home = home
        self.code = code
        self.server = server
        self.asked = self.before = 0
        self._running: dict[str, Running] = {}
        self._configs: dict[str, dict[str, Any]] = {}
        home.config(
            "bus",
            {
                "disable": others("investigator", "model_worker", "policy_engine"),
                "instances": {"model_worker": ["research"]},
            },
        )
        home.manifest("asker", emits=["Q_CURIOSITY_INVESTIGATE"])
        home.bus()
        self._use(WORKER, {"servers": [{"base_url": server.url, "max_concurrent": 2}], **QUICK})

    def module(self, name: str, text: str = '"""Watches the door."""\n\ndef watch(camera): ...\n') -> None:
        (self.code / name).mkdir(exist_ok=True)
        (self.code / name / "__init__.py").write_text(text)

    def start(self, **config: Any) -> Running:
        """The investigator with this configuration, which one that runs takes without a restart."""
        return self._use("investigator", {"roots": [str(self.code)], "interpreter_library": False, **config})

    def _use(self, name: str, config: dict[str, Any]) -> Running:
        running, is_new = self._running.get(name), self._configs.get(name) != config
        if is_new:
            self.home.config(name, config)
            self._configs[name] = config
        if running is None or running.process.poll() is not None:
            service, _, role = name.partition("@")
            arguments = ("-m", f"services.{service}", *([role] if role else []))
            running = self._running[name] = self.home.start(name, *arguments).ready()
        elif is_new:
            count = len([one for one in self.home.signals(RELOADED) if one.facts["daemon"] == name])
            running.signal(os_signal.SIGHUP)
            self.home.wait_for(RELOADED, count + 1, daemon=name)
        return running

    def investigator(self) -> Running:
        """The investigator, started again after a kill."""
        return self._use("investigator", self._configs["investigator"])

    @contextlib.contextmanager
    def without_a_model(self) -> Iterator[None]:
        """Meanwhile the worker has told that no server answers."""
        for status, name in ((500, "Q_MODEL_UNAVAILABLE"), (200, "Q_MODEL_AVAILABLE")):
            count = len(self.home.signals(name))
            self.server.models_status = status
            self.home.wait_for(name, count + 1)
            if status == 500:
                yield

    def answered(self, count: int = 1) -> None:
        """Wait until so many answers of the model were journaled in this test."""
        self.home.wait_for("Q_MODEL_RESPONSE", self.before + count)

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
        deadline = time.monotonic() + 60
        with Subscription(self.home.paths.mirror_socket, ("Q_INVESTIGATION_",)) as woken:
            while not (found := self.ends(asked)):
                assert time.monotonic() < deadline, [one.tail(3000) for one in self.home.running]
                woken.wait(1.0)
        (only,) = found
        return only


@pytest.fixture(scope="module")
def constellation_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("investigator")
    (folder / "code").mkdir()
    with nothing_left(), model_server() as server, constellation(folder / "home") as home:
        yield Desk(home, folder / "code", server)


@pytest.fixture
def desk(constellation_of_all: Desk) -> Desk:
    constellation_of_all.server.forget()
    constellation_of_all.before = len(constellation_of_all.home.signals("Q_MODEL_RESPONSE"))
    return constellation_of_all


def claim(text: str, *evidence: str) -> dict[str, Any]:
    return {"text": text, "evidence": list(evidence)}


def about(purpose: dict[str, Any], **more: Any) -> Plan:
    """What a model says of a module."""
    whole = {"capabilities": [], "integration_points": [], "risks": [], "confidence": 0.9, "unknowns": []}
    return says(json.dumps({"purpose": purpose, **whole, **more}))
