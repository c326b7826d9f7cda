"""What is kept of a face, and what is no face; no engine needed."""

from __future__ import annotations

import stat

import pytest

from services.gaze_sensor import cameras, enrolment
from services.gaze_sensor.logic import ENROLLED, Face
from services.gaze_sensor.settings import Seeing
from services.runtime import extras
from signals.errors import ConfigError

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


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"features": []}', '{"features": [[1, 2]]}', '{"features": ["x"]}']
)
def test_a_damaged_file_is_told_and_not_taken_for_nobody(tmp_path, content):
    """A sensor that takes nobody for the enrolled one is deaf, and does not say why."""
    (tmp_path / enrolment.FILE).write_text(content)
    with pytest.raises(ConfigError, match="is damaged"):
        enrolment.load(tmp_path)


def test_what_is_nobodys_face_is_not_learnt():
    """Features of two people, or of a face that was hardly seen, would let anybody pass."""
    kept = enrolment.chosen(features(40), 1)
    assert len(kept) == enrolment.MOST
    assert enrolment.chosen(features(5), 1) == features(5)
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
