"""A person looks here, asks aloud and is answered aloud; everything but the microphone and the loudspeaker is real."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from signals.envelope import rfc3339
from tests.live.audio_sensor.conftest import Room, at
from tests.support.model_server import says
from tests.support.required import program
from tests.support.sound import RATE, heard_in, say
from tests.support.virtual_camera import VirtualCamera, virtual_camera

pytestmark = [
    pytest.mark.may_leak("the daemon's children come and go"),
    pytest.mark.xdist_group("senses"),
    pytest.mark.slow,
]


@pytest.fixture
def camera(drawing: Future[dict[str, Path]], room: Room, scenes: dict[str, Path]) -> Iterator[VirtualCamera]:
    """A camera in the room that shows a wall, and what looks through it."""
    with virtual_camera(scenes["absent-wall"].read_bytes()) as found:
        room.home.config("gaze_sensor", {"camera": found.url})
        looking = room.home.daemon("gaze_sensor").ready()
        found.wait_watched()
        yield found
        assert looking.stop() == 0
        room.until(lambda: not room.listens, "it goes on listening")


def test_who_looks_here_and_asks_is_answered_aloud_and_who_has_gone_is_not_heard(
    room: Room, camera: VirtualCamera, scenes: dict[str, Path]
) -> None:
    """The whole point: who looks here and asks gets an answer to hear; who does not is nobody's business."""
    assert room.model is not None
    room.model.usual = says("Nothing happened last night.")
    looks, looks_away = room.count("Q_ATTENTION_GAINED"), room.count("Q_ATTENTION_LOST")
    came_at = show(camera, scenes["looking-straight"])
    gained = room.after(looks, "Q_ATTENTION_GAINED")
    room.until(lambda: room.listens, "it does not listen")
    loudspeaker = room.server.listen()
    try:
        heard = room.hears("what did you find out today")
        assert heard.taint == ("microphone",)
        assert heard.facts["latency_s"]["stt"] > heard.facts["latency_s"]["vad"] > 0
        spoken = room.answer_to(heard)
        assert spoken.facts["text"] == "Nothing happened last night."
        assert spoken.facts["interrupted"] is False
        assert {"microphone", "model"} <= set(spoken.taint)
    finally:
        played = loudspeaker.close()
    with ThreadPoolExecutor(1) as beside:
        hearing = beside.submit(heard_in, played)
        left_at = show(camera, scenes["absent-wall"])
        lost = room.after(looks_away, "Q_ATTENTION_LOST")
        room.until(lambda: not room.listens, "it goes on listening")
        voices = room.count("Q_USER_VOICE")
        room.server.speak(say("call my mother tomorrow", "awb"))
        room.server.speak(bytes(RATE))
        assert "happened last night" in hearing.result()  # a busy machine swallows a word
    show(camera, scenes["looking-left"])
    room.after(looks + 1, "Q_ATTENTION_GAINED")
    room.until(lambda: room.listens, "it does not listen")
    assert room.count("Q_USER_VOICE") == voices
    room.model.usual = says("Yes.")
    room.hears("what happened last night")
    room.quiet()  # while somebody still looks: else the answer waits
    told = f"attention gained {at(gained) - came_at:.2f}, lost {at(lost) - left_at:.2f}"
    print(f"seconds: {told}; {room.stages(spoken)}")


def show(camera: VirtualCamera, scene: Path) -> float:
    """Have the camera show this; when."""
    camera.picture = scene.read_bytes()
    return time.time()


LONG = "The first thing that I found out today is that the package which encodes data has grown."
LONGER = f"{LONG} The second is that nobody has asked for the report of last week. {LONG} That is all I know about it."
"""Long enough to be broken off, however late a busy machine notices who speaks."""


def test_its_own_voice_is_no_person_and_a_person_stops_it(room: Room) -> None:
    """It neither answers itself nor talks on over who speaks to it."""
    assert room.model is not None
    room.model.usual = says("All right.")
    room.look()
    with room.server.echo():
        voices = room.count("Q_USER_VOICE")
        whole = room.end_of(room.emit("Q_SPEAK", {"text": "I found out that the package has grown.", "urgency": "now"}))
        assert whole.facts["interrupted"] is False
        assert room.count("Q_USER_VOICE") == voices

        loudspeaker = room.server.listen()
        asked = room.emit("Q_SPEAK", {"text": LONGER, "urgency": "now"})
        loudspeaker.until_sound(1.0)
        room.server.speak(say("excuse me for a moment please", "rms"))
        loudspeaker.close()
        cut = room.end_of(asked)
        assert cut.facts["interrupted"] is True
        assert cut.facts["duration_s"] < len(say(LONGER)) / 2 / RATE - 1
    room.server.speak(bytes(2 * RATE))
    room.quiet()
    room.server.speak(say("when did the machine start", "rms"))

    def understood() -> bool:
        return any("did the machine start" in one.facts["text"] for one in room.home.signals("Q_USER_VOICE"))

    room.until(understood, "it is deaf")


def test_a_text_waits_until_somebody_attends(room: Room) -> None:
    """An answer is not told to an empty room; what is urgent is."""
    room.quiet()
    room.look_away()
    waits = room.emit("Q_SPEAK", {"text": "I have waited."})
    late = room.emit("Q_SPEAK", {"text": "Too late."}, expires_at=rfc3339(time.time() + 1))
    urgent = room.emit("Q_SPEAK", {"text": "Now.", "urgency": "now"})
    assert room.end_of(urgent).signal == "Q_SPOKEN"
    failed = room.end_of(late)
    assert (failed.signal, failed.facts["reason"]) == ("Q_SPEAK_FAILED", "expired")
    assert "I have waited." not in [one.facts["text"] for one in room.home.signals("Q_SPOKEN")]
    room.look()
    assert room.end_of(waits).signal == "Q_SPOKEN"


def test_nothing_of_the_microphone_reaches_the_disk(room: Room, tmp_path: Path) -> None:
    """What is said in a room is not found on a disk later, heard or not: no file is written but journal and log."""
    room.quiet()
    trace = tmp_path / "trace"
    room.look()
    room.until(lambda: len(children(room.audio.pid)) == 2, "ear and recogniser are not there")
    pids = [str(pid) for pid in (room.audio.pid, *children(room.audio.pid))]
    files = ",".join(("open", "openat", "openat2", "creat", "mknod", "mknodat", "rename", "renameat", "renameat2"))
    command = [program("strace"), "-f", "-qq", "-e", f"trace={files}", "-o", str(trace)]
    tracer = subprocess.Popen([*command, *(part for pid in pids for part in ("-p", pid))], stderr=subprocess.PIPE)
    try:
        room.until(lambda: all(traced(int(pid)) for pid in pids), "strace does not come")
        room.look_away()
        room.server.speak(say("the train leaves", "rms"))
        room.look()
        before, spoken = room.count("Q_USER_VOICE"), room.count("Q_SPOKEN")
        room.server.speak(say("when did the machine start", "slt"))
        room.after(before, "Q_USER_VOICE")
        room.after(spoken, "Q_SPOKEN")
    finally:
        tracer.terminate()
        tracer.communicate()
    written = {line.split('"')[1] for line in trace.read_text().splitlines() if WRITES.search(line)}
    limits = [Path(f"/proc/{pid}/limits").read_text() for pid in (room.audio.pid, *children(room.audio.pid))]
    assert all(re.search(r"Max core file size +0 +0 ", one) for one in limits)
    allowed = (str(room.home.paths.state_of("audio_sensor") / "spoken."), "/dev/", "/proc/", str(room.server.folder))
    assert [path for path in sorted(written) if not path.startswith(allowed)] == []
    assert any("spoken." in path for path in written), "the trace is empty, so it proves nothing"
    assert not (room.home.paths.state_of("audio_sensor") / "recordings").exists()


WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|creat\(|mknod|rename")


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def traced(pid: int) -> bool:
    return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()


def test_what_was_said_is_not_said_again_after_a_crash(room: Room) -> None:
    """Killed after a sentence it does not repeat it, killed within one it begins anew; each is told once."""
    room.quiet()
    bus = next(one for one in room.home.running if one.name == "bus")
    loudspeaker = room.server.listen()
    now = {"urgency": "now"}
    asked = room.emit("Q_SPEAK", {"text": "The front door is open.", **now})
    loudspeaker.until_sound(0.3)
    bus.signal(signal.SIGSTOP)  # so that it is said, and cannot be told
    ledger = room.home.paths.state_of("audio_sensor") / "spoken.jsonl"
    room.until(lambda: f'"{asked.id}","what":"ended"' in ledger.read_text(), "it was not said")
    room.audio.kill()
    bus.signal(signal.SIGCONT)
    heard_s = loudspeaker.loud_s()
    room.audio = room.home.daemon("audio_sensor", **room.server.environ).ready()
    assert room.end_of(asked).facts["interrupted"] is False
    assert loudspeaker.loud_s() == heard_s, "it was said again"

    asked = room.emit("Q_SPEAK", {"text": "I found out today that the package which encodes data has grown.", **now})
    room.until(lambda: loudspeaker.loud_s() > heard_s + 0.5, "it is silent")
    room.audio.kill()
    room.audio = room.home.daemon("audio_sensor", **room.server.environ).ready()
    again = room.end_of(asked)
    assert (again.signal, again.facts["interrupted"]) == ("Q_SPOKEN", False)
    assert again.facts["duration_s"] > 3
    loudspeaker.close()


def test_a_person_can_ask_it_to_listen(room: Room) -> None:
    """Without a camera a command gives it attention, for one utterance, and shows what it understood."""
    room.quiet()
    room.look_away()
    command = [sys.executable, "-m", "tools.ligand", "listen", "--for", "30", "--home", str(room.home.home)]
    asking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert asking.stderr is not None
    assert asking.stderr.readline() == "Speak now.\n"
    room.until(lambda: room.listens, "it does not listen")
    room.server.speak(say("what did you find out today", "slt"))
    out, err = asking.communicate(timeout=60)
    assert (out, err, asking.returncode) == ("what did you find out today\n", "", 0)
    room.until(lambda: not room.listens, "it goes on listening")


def test_commands_hold_after_a_reload(room: Room) -> None:
    """A person who writes down commands need restart nothing; a slip in them is named, and the old ones hold."""
    file = room.home.paths.config / "voice-commands.txt"
    file.write_text("turn (on|off) the light\nturn (on the light\n")
    check = [sys.executable, "-m", "tools.ligand", "config", "check", "--home", str(room.home.home)]
    checking = subprocess.Popen(check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    room.quiet()
    checked, _ = checking.communicate(timeout=60)
    assert checking.returncode != 0
    assert f"{file}:2: ')' is missing" in checked
    room.audio.signal(signal.SIGHUP)
    room.until(lambda: "reload_refused" in room.log, "the slip is taken")
    degraded, recovered = room.count("Q_SENSOR_DEGRADED"), room.count("Q_SENSOR_RECOVERED")
    file.write_text("turn (on|off) the fnordlicht\n")  # a word that only the recogniser's dictionary can tell
    room.look_away()
    room.audio.signal(signal.SIGHUP)
    room.look()
    assert "fnordlicht" in room.after(degraded, "Q_SENSOR_DEGRADED").facts["reason"]
    file.write_text("turn (on|off) the light\n")
    room.home.config("audio_sensor", {"record": True})
    (room.home.paths.state_of("audio_sensor") / "recordings").touch()  # where it cannot be
    opened = room.log.count("microphone_open")
    room.audio.signal(signal.SIGHUP)
    room.after(recovered, "Q_SENSOR_RECOVERED")
    assert room.count("Q_SENSOR_DEGRADED") == degraded + 1
    assert room.hears("turn off the light", "rms").facts["command"] is True
    unkept = room.after(degraded + 1, "Q_SENSOR_DEGRADED").facts  # and told all the same
    assert unkept["reason"] == "what is understood cannot be recorded: File exists"
    assert "recordings, or set record: false" in unkept["hint"]
    assert room.log.count("microphone_open") == opened, "what does not concern the microphone closed it"
