"""Microphones come and go, sound servers are started again: it says so once, and goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.audio_sensor.conftest import Room
from tests.support.constellation import constellation
from tests.support.processes import Use
from tests.support.sound import Server, engines, say

pytestmark = [
    pytest.mark.may_leak("the daemon's children come and go"),
    pytest.mark.xdist_group("sound"),
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
        yield Room(home, server, home.daemon("audio_sensor", **server.environ).ready())
        server.stop()


def test_a_bare_machine_is_told_of_once_and_costs_nothing(bare: Room) -> None:
    """Without a microphone or a loudspeaker the constellation runs, and nobody is told so every minute."""
    [told] = bare.home.wait_for("Q_SENSOR_DEGRADED")
    assert told.facts["sensor"] == "audio_sensor"
    assert "nothing needs to be restarted" in told.facts["hint"] or "Install it" in told.facts["hint"]
    assert bare.audio.stop() == 0
    again = bare.home.daemon("audio_sensor", **bare.server.environ).ready()
    before = Use.of(again.pid)
    bare.audio = again
    heard = bare.emit("Q_SPEAK", {"text": "Who hears this?", "urgency": "now"})
    bare.until(lambda: f"say|{heard.id}" in state(bare), "the text is not kept")
    assert Use.of(again.pid).cpu_s - before.cpu_s < 2
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
    bare.server.speak(say("tell me what happened last night"))
    bare.home.wait_for("Q_USER_VOICE", 1, 60.0, text="tell me what happened last night")

    degraded = bare.count("Q_SENSOR_DEGRADED")
    bare.server.unplug()
    bare.home.wait_for("Q_SENSOR_DEGRADED", degraded + 1, 60.0)
    bare.server.plug_in(rate=22_050)
    bare.home.wait_for("Q_SENSOR_RECOVERED", 2, 60.0)

    bare.server.stop()
    bare.home.wait_for("Q_SENSOR_DEGRADED", degraded + 2, 60.0)
    bare.server.start()
    bare.server.plug_in()
    bare.home.wait_for("Q_SENSOR_RECOVERED", 3, 60.0)
    bare.server.speak(say("what did you find out today"))
    bare.home.wait_for("Q_USER_VOICE", 1, 60.0, text="what did you find out today")
    assert bare.audio.process.poll() is None
    assert "task_failed" not in bare.log
