"""A home with a daemon that does what its signals say, and who tells it."""

import time
from pathlib import Path

import pytest

from tests.support.constellation import Constellation, Running, constellation
from tests.support.raw import Raw

WORKER = Path(__file__).parents[2] / "support" / "worker.py"
TEXT = {"text": {"type": "string"}}
WORK = {"act": {"type": "string"}, **TEXT}
MANIFEST = {
    "consumes": ["Q_WORK_WANTED", "Q_THREAD_WANTED"],
    "emits": ["Q_WORK_DONE", "Q_TICK_TOLD"],
    "asks": ["Q_ANSWER_WANTED"],
    "config": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"greeting": {"type": "string", "default": "hello", "description": "What to say."}},
    },
}


def contracts(home: Constellation) -> None:
    for name, facts in {"Q_WORK_WANTED": WORK, "Q_WORK_DONE": WORK}.items():
        home.contract(name, facts, example={"act": "x", "text": "x"})
    for name in ("Q_THREAD_WANTED", "Q_TICK_TOLD", "Q_ANSWER_GIVEN"):
        home.contract(name, TEXT, example={"text": "x"})
    home.contract("Q_ANSWER_FAILED", TEXT, kind="error", example={"text": "x"})
    waited = {"waited_s": {"type": "number"}, "expected": {"type": "array", "items": {"type": "string"}}}
    home.contract("Q_ANSWER_LATE", waited, kind="error", example={"waited_s": 1, "expected": ["Q_X"]})
    expects = {"answers": ["Q_ANSWER_GIVEN", "Q_ANSWER_FAILED"], "within_s": 600, "timeout": "Q_ANSWER_LATE"}
    home.contract("Q_ANSWER_WANTED", TEXT, kind="trigger", example={"text": "x"}, expects=expects)
    home.manifest("answerer", consumes=["Q_ANSWER_WANTED"], emits=["Q_ANSWER_GIVEN", "Q_ANSWER_FAILED"])


@pytest.fixture
def home(tmp_path):
    with constellation(tmp_path) as home:
        contracts(home)
        home.manifest("worker", **MANIFEST)
        yield home


@pytest.fixture
def bus(home):
    return home.bus()


@pytest.fixture
def person(home, bus):
    with Raw(home.paths) as person:
        yield person


def start(home: Constellation, **env: str) -> Running:
    return home.script("worker", WORKER, "worker", **env)


def did(home: Constellation, name: str = "worker") -> list[str]:
    path = home.home / f"{name}.did"
    return path.read_text().splitlines() if path.exists() else []


def until(home: Constellation, line: str, count: int = 1) -> None:
    """Block until the worker has noted a line so often."""
    deadline = time.monotonic() + 60
    while did(home).count(line) < count:
        assert time.monotonic() < deadline, (line, did(home), home.running[-1].tail())
        time.sleep(0.01)


def go(home: Constellation, name: str) -> None:
    (home.home / f"go.{name}").touch()


def want(person: Raw, act: str, text: str = "x"):
    signal = person.make("Q_WORK_WANTED", {"act": act, "text": text})
    person.emit(signal)
    return signal
