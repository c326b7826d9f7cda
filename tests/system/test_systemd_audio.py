"""What hears and speaks in its unit's sandbox: libraries that map memory, programs, a sound server of the machine."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from services.runtime.extras import folder_of
from tests.support.installed import Installed, needs_same_python, unit
from tests.support.required import program
from tests.support.sound import engines, heard_in, say

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]
UNIT = unit("audio_sensor")
CONFIG = "/etc/ligand/audio_sensor.yaml"
EXTRAS = "/opt/ligand/venv/extras"
SOCKET = "/run/pulse/native"
SERVER = (
    "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--system=false",
    "-L", f"module-native-protocol-unix auth-anonymous=1 socket={SOCKET}",
    "-L", "module-null-sink sink_name=loud rate=16000 channels=1 format=s16le",
)  # fmt: skip
PLAY = f"base64 -d | pacat --server=unix:{SOCKET} --device=loud --rate=16000 --channels=1 --format=s16le --raw"
RECORD = "exec parec --server=unix:{0} --device=loud.monitor --rate=16000 --channels=1 --format=s16le --raw > {1}"
RECORDED = "/run/pulse/said"


@pytest.fixture(scope="module")
def sound(ligand: Installed) -> Iterator[Installed]:
    """The installed Ligand with the extra, and a sound server of the machine; its loudspeaker is its microphone."""
    engines("silero")
    for name in ("pulseaudio", "pacat", "flite"):
        program(name)
    needs_same_python("audio")
    machine, before = ligand.machine, ligand.machine.read(CONFIG)
    places = {name: f"{EXTRAS}/{name}" for name in ("audio", "silero")}
    machine.run("mkdir", "-p", *places.values(), "/run/pulse")
    for name, place in places.items():
        machine.run("mount", "--bind", str(folder_of(name)), place)
    machine.run("systemd-run", "--unit=sound", "--setenv=HOME=/run/pulse", "--", *SERVER)
    machine.drop_in(UNIT, f"[Service]\nEnvironment=PULSE_SERVER=unix:{SOCKET}\n", "80-sound.conf")
    machine.write(CONFIG, "attention: always\nmicrophone: loud.monitor\nspeaking: {barge_in: false}\n")
    machine.systemctl("daemon-reload")
    try:
        machine.systemctl("restart", UNIT)
        yield ligand
    finally:
        machine.write(CONFIG, before)
        machine.systemctl("stop", UNIT)  # it has the libraries mapped
        machine.run("rm", "-r", f"/etc/systemd/system/{UNIT}.d/80-sound.conf", check=False)
        machine.systemctl("stop", "sound", check=False)
        machine.run("umount", *places.values())
        machine.run("rmdir", *places.values(), EXTRAS, check=False)
        machine.systemctl("daemon-reload")
        machine.systemctl("start", UNIT)


def said() -> str:
    return base64.b64encode(bytes(16_000) + say("tell me what happened last night") + bytes(32_000)).decode()


def test_it_hears_within_its_units_sandbox(sound: Installed) -> None:
    """What works in a clone and not in the unit would leave every installed machine deaf."""
    machine = sound.machine
    machine.until("it listens", lambda: machine.show(UNIT, "StatusText") == "listening")
    machine.run("sh", "-c", PLAY, text=said())
    machine.until("it understands", lambda: bool(sound.signals("Q_USER_VOICE")))
    assert "happened last night" in sound.signals("Q_USER_VOICE")[0]["facts"]["text"]


def test_another_engine_of_voice_activity_works_within_its_units_sandbox(sound: Installed) -> None:
    """ONNX Runtime must do without memory that is written and run, and with one thread more or less."""
    machine = sound.machine
    before, heard = machine.read(CONFIG), len(sound.signals("Q_USER_VOICE"))
    machine.write(CONFIG, f"{before}detection: {{engine: silero_onnx}}\n")
    try:
        machine.systemctl("restart", UNIT)
        machine.until("it listens", lambda: machine.show(UNIT, "StatusText") == "listening")
        machine.run("sh", "-c", PLAY, text=said())
        machine.until("it understands", lambda: len(sound.signals("Q_USER_VOICE")) > heard)
        assert "happened last night" in sound.signals("Q_USER_VOICE")[-1]["facts"]["text"]
    finally:
        machine.write(CONFIG, before)
        machine.systemctl("restart", UNIT)


def test_it_speaks_within_its_units_sandbox(sound: Installed) -> None:
    """An answer is heard on an installed machine too: the unit may run the voice, reach the loudspeaker, and say so."""
    machine = sound.machine
    heard = len(sound.signals("Q_USER_VOICE"))
    machine.run("systemd-run", "--unit=recorder", "--", "sh", "-c", RECORD.format(SOCKET, RECORDED))
    machine.until("it is recorded", lambda: machine.run("test", "-s", RECORDED, check=False).returncode == 0)
    facts = {"text": "I will tell you what happened last night.", "urgency": "now"}
    assert sound.emit("Q_SPEAK", facts, "person@root").startswith("seq ")
    machine.until("it has spoken", lambda: bool(sound.signals("Q_SPOKEN", "Q_SPEAK_FAILED")))
    [spoken] = sound.signals("Q_SPOKEN", "Q_SPEAK_FAILED")
    assert spoken["signal"] == "Q_SPOKEN", spoken
    assert (spoken["facts"]["engine"], spoken["facts"]["interrupted"]) == ("flite", False)
    machine.systemctl("stop", "recorder")
    assert heard_in(base64.b64decode(machine.out("base64", RECORDED))) == "i will tell you what happened last night"
    assert len(sound.signals("Q_USER_VOICE")) == heard  # its loudspeaker is its microphone, and it is no person
