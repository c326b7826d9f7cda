"""What is said next, and what becomes of what cannot be said; no loudspeaker needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog

from services.audio_sensor import machine, speaking, voices
from services.audio_sensor.speaking import Speaking
from services.audio_sensor.voices import NoVoiceError, Sound, UnspeakableError, Voice
from signals.envelope import Signal, rfc3339

NOW = 2e9
"""Seconds since the epoch, of a day far ahead: nothing has waited too long."""
LIMITS = {"engine": "auto", "voice": "", "model": "", "waits_at_most_s": 3600, "now_within_s": 3600}


class Bus:
    """Keeps what is put and told, as a daemon has it."""

    def __init__(self, folder: Path) -> None:
        self.state: dict[str, Any] = {}
        self.state_dir = folder
        self.config = {"speaking": LIMITS, "language": "en-US", "loudspeaker": ""}
        self.log = structlog.get_logger()
        self.told: list[tuple[str, str]] = []
        self.changed = asyncio.Event()

    @asynccontextmanager
    async def batch(self, put: Mapping[str, Any]) -> AsyncIterator[Callable[..., None]]:
        yield lambda name, facts, **_: self.told.append((name, facts["text"]))
        self.state |= {key: value for key, value in put.items() if value is not None}
        for key in (key for key, value in put.items() if value is None):
            del self.state[key]
        self.changed.set()

    async def until(self, count: int) -> list[tuple[str, str]]:
        """What was told, once it is so many."""
        async with asyncio.timeout(60):
            while len(self.told) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.told


class Ear:
    """Hears nobody."""

    person_speaks = False

    async def speaks(self, sound: Sound) -> None: ...

    async def silent(self) -> None: ...


class Mouth:
    """Plays in no time."""

    last_words = ""

    @classmethod
    async def start(cls, *_: Any) -> Mouth:
        return cls()

    async def tell(self, *_: Any) -> None: ...

    async def end(self) -> None: ...

    def ask_to_end(self) -> None: ...

    async def all(self) -> AsyncIterator[tuple[dict[str, Any], bytes]]:
        for what in ("open", "begun", "ended"):
            yield {"is": what, "played_s": 1.0}, b""


@asynccontextmanager
async def mouth(folder: Path) -> AsyncIterator[tuple[Bus, Speaking]]:
    """One that works, with all that it needs."""
    bus = Bus(folder)
    found = Speaking(bus, Ear(), lambda: True, bus.changed.set)  # type: ignore[arg-type]
    working = asyncio.create_task(found.speak())
    try:
        yield bus, found
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def wanted(text: str, urgency: str = "when_attended") -> Signal:
    return Signal("Q_SPEAK", f"id of {text}", rfc3339(NOW), "", "", 1, {"text": text, "urgency": urgency})


@pytest.fixture(autouse=True)
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that can speak, and plays in no time."""
    monkeypatch.setattr(machine, "lacking", lambda *_: None)
    monkeypatch.setattr(machine, "sound_at", lambda: ("a card",))
    monkeypatch.setattr(voices, "find", lambda *_: Voice("flite", "/bin/true"))
    monkeypatch.setattr(speaking, "Child", Mouth)


def speak_by(monkeypatch: pytest.MonkeyPatch, act: Callable[[str], Any]) -> None:
    async def speak(_: Voice, text: str, __: str) -> Sound:
        await act(text)
        return Sound(b"", 16_000)

    monkeypatch.setattr(voices, "speak", speak)


def test_what_the_voice_cannot_say_keeps_no_other_text_from_being_said(tmp_path, monkeypatch) -> None:
    """One endless number in an answer would silence the machine for an hour, and cost a core."""

    async def act(text: str) -> None:
        if text == "111":
            raise UnspeakableError("it took more than 60 s to speak")

    async def both() -> list[tuple[str, str]]:
        async with mouth(tmp_path) as (bus, found):
            await found.add(wanted("111"))
            await found.add(wanted("Hello."))
            return await bus.until(2)

    speak_by(monkeypatch, act)
    assert asyncio.run(both()) == [("Q_SPEAK_FAILED", "111"), ("Q_SPOKEN", "Hello.")]


def test_what_is_urgent_is_said_before_what_is_still_being_made_sound(tmp_path, monkeypatch) -> None:
    """An alarm that came in that moment would wait until a long answer has been read out."""

    async def both() -> list[tuple[str, str]]:
        async with mouth(tmp_path) as (bus, found):

            async def act(text: str) -> None:
                if text == "A long answer." and "say|id of Fire." not in bus.state and not bus.told:
                    await found.add(wanted("Fire.", "now"))

            speak_by(monkeypatch, act)
            await found.add(wanted("A long answer."))
            return await bus.until(2)

    assert asyncio.run(both()) == [("Q_SPOKEN", "Fire."), ("Q_SPOKEN", "A long answer.")]


def test_a_voice_that_is_installed_later_is_found_with_nothing_to_be_said(tmp_path, monkeypatch) -> None:
    """It would be called degraded until the next text, though what was missing is there."""
    there: list[Voice] = []

    def find(*_: Any) -> Voice:
        if not there:
            raise NoVoiceError("neither flite nor espeak-ng is installed")
        return there[0]

    async def installed() -> None:
        async with mouth(tmp_path) as (bus, found), asyncio.timeout(60):
            while found.trouble is None:
                await bus.changed.wait()
            there.append(Voice("flite", "/bin/true"))
            while found.trouble is not None:
                bus.changed.clear()
                await bus.changed.wait()

    monkeypatch.setattr(voices, "find", find)
    monkeypatch.setattr(speaking, "RETRY_S", 0.05)
    asyncio.run(installed())


def test_what_failed_is_no_trouble_any_more_once_the_configuration_is_another(tmp_path, monkeypatch) -> None:
    """Who mends the name of the loudspeaker would be told of the old one until something is said again."""

    async def act(_: str) -> None:
        raise NoVoiceError("there is no loudspeaker called 'x'")

    async def mended() -> None:
        async with mouth(tmp_path) as (bus, found), asyncio.timeout(60):
            await found.add(wanted("Hello."))
            while found.trouble is None:
                bus.changed.clear()
                await bus.changed.wait()
            bus.state.clear()
            found.reload()
            while found.trouble is not None:
                bus.changed.clear()
                await bus.changed.wait()

    speak_by(monkeypatch, act)
    monkeypatch.setattr(speaking, "LOOK_S", 0.01)
    asyncio.run(mended())
