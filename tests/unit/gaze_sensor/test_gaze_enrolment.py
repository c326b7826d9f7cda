"""What is kept of a face, and what is no face; no engine needed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import orjson
import pytest

from services.gaze_sensor import cameras, enrolment
from services.gaze_sensor.logic import ENROLLED, Face
from services.gaze_sensor.settings import Seeing
from services.runtime import extras
from signals.errors import ConfigError
from tests.support.constellation import ROOT

SEEING = Seeing(camera="http://127.0.0.1/", model="", face=ENROLLED, face_distance=0.5, fps=15, stall_s=3)


def features(count: int, apart: float = 0.01) -> list[tuple[float, ...]]:
    return [(nth * apart,) + (0.1,) * (enrolment.LENGTH - 1) for nth in range(count)]


def test_a_face_is_kept_for_the_daemon_alone_until_it_is_forgotten(tmp_path):
    """Whatever else runs on the machine could read what makes a person known by their face."""
    folder = tmp_path / "gaze_sensor"
    assert enrolment.load(folder) == ()
    assert enrolment.forget(folder) is False
    file = enrolment.save(folder, features(6))
    enrolment.save(folder, features(7))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == [file]
    assert enrolment.load(folder) == tuple(features(7))
    assert enrolment.forget(folder) is True
    assert list(folder.iterdir()) == []


DAMAGED = {
    "nothing": "",
    "a list": "[]",
    "no features": "{}",
    "none": '{"features": []}',
    "short": '{"features": [[1, 2]]}',
    "text": '{"features": ["x"]}',
    "no numbers": orjson.dumps({"features": [["nan"] * enrolment.LENGTH]}).decode(),
    "too many": orjson.dumps({"features": [[0.1] * enrolment.LENGTH] * (enrolment.MOST + 1)}).decode(),
    "too long": '{"features": [[' + "0.1, " * enrolment.MOST_BYTES + "0.1]]}",
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_told_and_not_taken_for_nobody(tmp_path, kind):
    """A sensor that takes nobody for the enrolled one is deaf, and does not say why."""
    (tmp_path / enrolment.FILE).write_text(DAMAGED[kind])
    with pytest.raises(ConfigError, match="is damaged"):
        enrolment.load(tmp_path)


def test_a_pipe_in_its_place_is_told(tmp_path):
    """A daemon that waits for what a pipe will say is started again by its watchdog, for ever."""
    os.mkfifo(tmp_path / enrolment.FILE)
    with pytest.raises(ConfigError, match="cannot be read: it is a pipe"):
        enrolment.load(tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
from services.gaze_sensor import enrolment
enrolment.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
enrolment.save(Path(sys.argv[1]), [(0.1,) * enrolment.LENGTH] * 5)
"""


def test_nothing_of_a_face_is_left_by_an_enrolment_that_was_killed(tmp_path):
    """Who was told that it is removed would leave it on a disk all the same."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    assert enrolment.load(tmp_path) == ()
    assert enrolment.forget(tmp_path) is True
    assert list(tmp_path.iterdir()) == []


def test_what_is_nobodys_face_is_not_learnt():
    """Features of two people, or of a face that was hardly seen, would let anybody pass."""
    kept = enrolment.chosen(features(40), 1)
    assert len(kept) == enrolment.MOST
    assert enrolment.chosen(features(5), 1) == features(5)
    late = features(23)[12:]
    assert len([one for one in enrolment.chosen(features(23), 1) if one in late]) == 5  # a head that was turned at last
    with pytest.raises(ConfigError, match="seen well 4 times, of at least 5"):
        enrolment.chosen(features(4), 1)
    with pytest.raises(ConfigError, match="2 faces were seen"):
        enrolment.chosen(features(9), 2)
    with pytest.raises(ConfigError, match="not like one face"):
        enrolment.chosen(features(6, apart=0.2), 1)
    here = Face(x=0.5, y=0.5, size_px=120, yaw_deg=5, pitch_deg=5, eye_opening=0.3, gaze_x=0, gaze_y=0)
    assert enrolment.is_good(here)
    assert not enrolment.is_good(Face(**{**{name: getattr(here, name) for name in Face.__slots__}, "yaw_deg": -40}))


def test_what_is_missing_for_one_face_is_said(monkeypatch):
    """Who asks for their own face and has none enrolled would wonder why nobody is ever heard."""
    missing = extras.Missing("the model is not installed", "ligand install --with face")
    monkeypatch.setattr(extras, "lacking", lambda name: missing if name == "face" else None)
    trouble = cameras.find(SEEING)
    assert isinstance(trouble, cameras.Trouble)
    assert trouble.reason == "the model is not installed"
    monkeypatch.setattr(extras, "lacking", lambda _: None)
    trouble = cameras.find(SEEING)
    assert isinstance(trouble, cameras.Trouble)
    assert (trouble.reason, "ligand gaze enrol" in trouble.hint) == ("no face is enrolled", True)
