"""Microphones come and go, sound servers are started again: it says so once, and goes on by itself."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import structlog

from services.audio_sensor import understanding
from services.audio_sensor.children import Child
from services.audio_sensor.logic import Trouble
from services.audio_sensor.understanding import Understanding, Understood
from tests.live.audio_sensor.conftest import Room
from tests.support.constellation import constellation
from tests.support.resting import WATCHED, resting
from tests.support.sound import Server, engines, say

pytestmark = [
    pytest.mark.may_leak("the daemon's children come and go"),
    pytest.mark.xdist_group("senses"),
    pytest.mark.slow,
]


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Room]:
    """A daemon whose sound server is not there yet."""
    (tmp_path / "sound").mkdir()
    server = Server(tmp_path / "sound")
    with constellation(tmp_path / "home") as home:
        home.config("audio_sensor", {"attention": "always"})
        home.bus()
        yield Room(home, server, home.daemon("audio_sensor", **server.environ, **WATCHED).ready())
        server.stop()


def test_a_bare_machine_is_told_of_once_and_costs_nothing(bare: Room) -> None:
    """Without a microphone or a loudspeaker the constellation runs, and nobody is told so every minute."""
    [told] = bare.home.wait_for("Q_SENSOR_DEGRADED")
    assert told.facts["sensor"] == "audio_sensor"
    assert any(words in told.facts["hint"] for words in ("nothing needs to be restarted", "Install it", "make senses"))
    assert bare.audio.stop() == 0
    bare.audio = bare.home.daemon("audio_sensor", **bare.server.environ, **WATCHED).ready()
    heard = bare.emit("Q_SPEAK", {"text": "Who hears this?", "urgency": "now"})
    bare.until(lambda: f"say|{heard.id}" in state(bare), "the text is not kept")
    rest = resting(bare.audio)
    assert rest.share < 0.1, rest
    assert rest.children < 0.5, rest  # a child started to look again costs a third of a second; without pauses, a core
    assert rest.wakes_per_s < 50, rest
    assert bare.count("Q_SENSOR_DEGRADED") == 1
    assert bare.count("Q_SENSOR_RECOVERED") == 0


def state(room: Room) -> dict[str, object]:
    with room.home.journal() as journal:
        return dict(journal.state_of("audio_sensor"))


def test_devices_come_and_go(bare: Room) -> None:
    """Plug it in, pull it out, start the sound server again: whatever form the microphone has, it is heard at last."""
    engines()
    bare.home.wait_for("Q_SENSOR_DEGRADED")
    bare.server.start()
    bare.home.wait_for("Q_SENSOR_DEGRADED", 2, 60.0)
    assert "no microphone" in bare.home.signals("Q_SENSOR_DEGRADED")[-1].facts["reason"]

    bare.server.plug_in(rate=44_100, channels=8)
    bare.home.wait_for("Q_SENSOR_RECOVERED", 1, 60.0)
    bare.hears("what happened last night")

    degraded = bare.count("Q_SENSOR_DEGRADED")
    bare.server.hang()
    bare.home.wait_for("Q_SENSOR_DEGRADED", degraded + 1, 60.0)
    rest = resting(bare.audio)
    assert rest.share < 0.2, rest
    assert rest.wakes_per_s < 50, rest
    bare.server.go_on()
    bare.home.wait_for("Q_SENSOR_RECOVERED", 2, 60.0)

    bare.server.unplug()
    bare.home.wait_for("Q_SENSOR_DEGRADED", degraded + 2, 60.0)
    bare.server.plug_in(rate=22_050)
    bare.home.wait_for("Q_SENSOR_RECOVERED", 3, 60.0)

    bare.server.stop()
    bare.home.wait_for("Q_SENSOR_DEGRADED", degraded + 3, 60.0)
    bare.server.start()
    bare.server.plug_in()
    bare.home.wait_for("Q_SENSOR_RECOVERED", 4, 60.0)
    bare.hears("what happened last night")
    assert bare.audio.process.poll() is None
    assert "task_failed" not in bare.log


def test_a_damaged_model_of_voice_activity_is_told_and_mended_by_a_reload(bare: Room, tmp_path: Path) -> None:
    """A file that was copied halfway makes it deaf: it says so once, and hears when that is mended."""
    engines("silero")
    damaged = tmp_path / "silero.onnx"
    damaged.write_bytes(bytes(1000))
    bare.server.start()
    bare.server.plug_in()
    onnx = {"attention": "always", "detection": {"engine": "silero_onnx", "model": str(damaged)}}
    bare.home.config("audio_sensor", onnx)
    bare.audio.signal(signal.SIGHUP)
    bare.until(
        lambda: any(str(damaged) in one.facts["reason"] for one in bare.home.signals("Q_SENSOR_DEGRADED")), "untold"
    )
    bare.home.config("audio_sensor", {**onnx, "detection": {"engine": "silero_onnx"}})
    bare.audio.signal(signal.SIGHUP)
    bare.until(lambda: "microphone_open" in bare.log, "it does not listen")
    bare.hears("what happened last night")
    assert len([one for one in bare.home.signals("Q_SENSOR_DEGRADED") if str(damaged) in one.facts["reason"]]) == 1
    assert bare.audio.process.poll() is None


RECOGNISER = {"engine": "pocketsphinx", "model": "", "disagreement": 0.7, "commands": "", "commands_file": "commands"}
UTTERANCE = {"speech_s": 1.0, "vad_s": 0.7, "cut": False}


@asynccontextmanager
async def at_hand(heard: asyncio.Queue[Understood]) -> AsyncIterator[Understanding]:
    """What understands, with a recogniser at hand."""
    told: asyncio.Queue[Trouble | None] = asyncio.Queue()
    config = {"recogniser": RECOGNISER, "idle_s": 60}
    found = Understanding(config, structlog.get_logger(), heard.put, told.put_nowait)
    found.attend(True)
    working = asyncio.create_task(found.run())
    try:
        async with asyncio.timeout(60):
            assert await told.get() is None
        yield found
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def test_a_recogniser_that_hangs_costs_one_utterance(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that chokes on one sentence must not leave the machine deaf to the next."""
    engines()
    monkeypatch.setattr(understanding, "STT_S", 0.2)
    began: list[Child] = []

    async def start(module: str, settings: dict[str, object]) -> Child:
        """Give all but the first recogniser its time."""
        began.append(await real(module, settings))
        monkeypatch.setattr(understanding, "STT_S", 0.2 if len(began) == 1 else 60.0)
        return began[-1]

    real = Child.start
    monkeypatch.setattr(Child, "start", start)

    async def speak_twice() -> Understood:
        heard: asyncio.Queue[Understood] = asyncio.Queue()
        async with at_hand(heard) as found:
            began[0]._process.send_signal(signal.SIGSTOP)
            found.put(UTTERANCE, say("this one is lost"))
            found.put(UTTERANCE, say("what happened last night"))
            async with asyncio.timeout(60):
                return await heard.get()

    assert asyncio.run(speak_twice()).text == "what happened last night"
    assert len(began) == 2
    assert not began[0].runs
