"""What is kept of what was heard, and how soon a change is taken up; no microphone needed."""

from __future__ import annotations

import asyncio
import resource
import stat
import wave
from typing import Any

import pytest
import structlog

from services.audio_sensor import machine, recording
from services.audio_sensor.hearing import Hearing
from services.audio_sensor.recording import record
from services.audio_sensor.segmenting import RATE
from services.audio_sensor.voices import Sound


def test_what_finds_no_room_leaves_nothing_and_what_is_kept_is_the_owners(tmp_path) -> None:
    """On a full disk the beginnings of sentences would push out whole ones; in an open folder all could hear them."""
    folder = tmp_path / "recordings"
    folder.mkdir(mode=0o755)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            record(folder, "01", bytes(2 * RATE))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(folder.iterdir()) == []
    record(folder, "02", bytes(2 * RATE))
    assert stat.S_IMODE((folder / "02.wav").stat().st_mode) == 0o600


def test_only_the_newest_are_kept_and_for_the_owner_alone(tmp_path, monkeypatch) -> None:
    """Who has utterances recorded does not want a year of them, nor everybody on the machine to listen."""
    monkeypatch.setattr(recording, "MOST", 3)
    folder = tmp_path / "recordings"
    for nth in range(5):
        record(folder, f"0{nth}", bytes(2 * RATE))
    assert sorted(one.name for one in folder.iterdir()) == ["02.wav", "03.wav", "04.wav"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with wave.open(str(folder / "04.wav")) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (RATE, RATE)


class Ear:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    async def tell(self, message: dict[str, Any], payload: bytes = b"") -> None:
        self.told.append({**message, "bytes": len(payload)})

    def ask_to_end(self) -> None:
        self.told.append({"op": "end"})


CONFIG = {"idle_s": 60, "barge_in": True, "microphone": "", "detection": {}, "recogniser": {}}


def hearing() -> Hearing:
    return Hearing(CONFIG, structlog.get_logger(), lambda _: asyncio.sleep(0), lambda: None)


def opened(found: Hearing) -> list[dict[str, Any]]:
    """What an ear is told once it has opened its microphone."""
    ear: Any = Ear()
    asyncio.run(found._heard(ear, {"is": "open", "device": "mic", "rate": RATE}, b""))
    return list(ear.told)


def test_a_microphone_that_comes_while_it_speaks_does_not_hear_that() -> None:
    """Plugged in, or opened anew on a reload, it would take the rest of the sentence for what a person says."""
    found = hearing()
    assert opened(found) == [{"op": "attend", "on": False, "bytes": 0}]
    asyncio.run(found.speaks(Sound(bytes(8), RATE)))
    assert opened(found)[0] == {"op": "speaks", "rate": RATE, "barge_in": False, "bytes": 8}
    asyncio.run(found.silent())
    assert len(opened(found)) == 1


def test_a_microphone_that_was_being_opened_on_a_reload_is_left() -> None:
    """The one that was configured before would be listened to until the next reload."""
    found = hearing()
    asyncio.run(found.take({**CONFIG, "microphone": "mine"}))
    assert {"op": "end"} in opened(found)


def test_a_reload_that_does_not_concern_the_microphone_leaves_it_open() -> None:
    """Who changes how it speaks, or a command, would not be heard who is just saying something."""
    found = hearing()
    told = opened(found)
    asyncio.run(found.take({**CONFIG, "barge_in": False, "recogniser": {"commands": "turn on the light"}}))
    assert {"op": "end"} not in told
    assert not found._reloaded.is_set()


def test_lost_sound_is_counted_and_told() -> None:
    """A machine that is too busy to hear mishears, and nobody would know why."""
    changes: list[int] = []
    found = Hearing({}, structlog.get_logger(), lambda _: asyncio.sleep(0), lambda: changes.append(found.overruns))
    ear: Any = Ear()
    for count in (3, 1):
        asyncio.run(found._heard(ear, {"is": "overruns", "count": count}, b""))
    assert changes == [3, 4]


def test_who_reloads_does_not_wait_for_a_microphone_to_be_looked_for_again() -> None:
    """A microphone's name that was mended would be tried a minute later, and the person would mend it again."""

    async def reloaded() -> None:
        found = hearing()
        pausing = asyncio.create_task(found._change(await machine.seen(), 3600.0))
        await found.take({**CONFIG, "microphone": "mine"})
        async with asyncio.timeout(60):
            await pausing

    asyncio.run(reloaded())
