"""When the recogniser is at hand, and when its memory is given back; no recogniser needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import structlog

from services.audio_sensor.children import Child
from services.audio_sensor.understanding import Understanding, Understood

UTTERANCE = {"speech_s": 1.0, "vad_s": 0.7, "cut": False}
CONFIG = {"idle_s": 3600, "recogniser": {}}


class Recogniser:
    """Understands everything at once."""

    runs = True

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def tell(self, *_: Any) -> None: ...

    async def hear(self) -> tuple[dict[str, Any], bytes]:
        return {"is": "ready", "engine": "quick", "text": "hello", "confidence": 1.0, "command": False}, b""

    async def end(self) -> None:
        self.ended.set()


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> list[Recogniser]:
    """Each recogniser that was started."""
    found: list[Recogniser] = []

    async def start(*_: Any) -> Recogniser:
        found.append(Recogniser())
        return found[-1]

    monkeypatch.setattr(Child, "start", start)
    return found


@asynccontextmanager
async def running(found: Understanding) -> AsyncIterator[None]:
    working = asyncio.create_task(found.run())
    try:
        async with asyncio.timeout(60):
            yield
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def test_who_looks_away_and_back_while_it_is_busy_is_understood(began) -> None:
    """A recogniser that takes its time would have a sentence dropped because somebody glanced about meanwhile."""

    async def understood() -> Understood:
        heard: asyncio.Queue[Understood] = asyncio.Queue()
        found = Understanding(CONFIG, structlog.get_logger(), heard.put, lambda _: None)
        for nth in range(20):
            found.attend(nth % 2 == 0)
        found.put(UTTERANCE, bytes(32000))
        async with running(found):
            return await heard.get()

    assert asyncio.run(understood()).text == "hello"


def test_another_time_until_its_memory_is_given_back_holds_at_once(began) -> None:
    """Who finds that it keeps its memory for too long would wait for the old time to pass first."""

    async def given_back() -> None:
        ready = asyncio.Event()
        found = Understanding(CONFIG, structlog.get_logger(), lambda _: asyncio.sleep(0), lambda _: ready.set())
        found.attend(True)
        async with running(found):
            await ready.wait()
            found.attend(False)
            await asyncio.sleep(0)
            found.take({**CONFIG, "idle_s": 0.01})
            await began[0].ended.wait()

    asyncio.run(given_back())
    assert len(began) == 1
