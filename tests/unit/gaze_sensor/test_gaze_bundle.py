"""What is said of a file that a person names as a model; no engine needed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from services.gaze_sensor import bundle, cameras
from services.gaze_sensor.settings import Seeing
from services.runtime import extras
from tests.support.commands import ligand

GOOD = dict.fromkeys(bundle.NEEDED, b"model")


def archive(file: Path, members: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(file, "w", how) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return str(file)


def test_what_is_wrong_with_a_model_is_said_of_each_kind(tmp_path):
    """`it does not work` sends a person to look at the camera, when the file is that of another task."""
    file = tmp_path / "own.task"
    assert bundle.fault("") is None
    assert bundle.fault(str(file)) == f"the model {file} is not there"
    assert bundle.fault(str(tmp_path)) == f"the model {tmp_path} cannot be read: Is a directory"
    assert bundle.fault(archive(file, GOOD)) is None
    file.write_bytes(file.read_bytes()[:-30])
    assert bundle.fault(str(file)) == f"the model {file} is no bundle of models, or only a part of one"
    hands = archive(file, {"hand_detector.tflite": b"", "hand_landmarks_detector.tflite": b""})
    assert "it lacks face_detector.tflite and face_landmarks_detector.tflite" in str(bundle.fault(hands))
    assert "is compressed" in str(bundle.fault(archive(file, GOOD, zipfile.ZIP_DEFLATED)))


def test_a_damaged_directory_of_a_bundle_is_told_however_it_is_damaged(tmp_path):
    """One flipped bit on a disk, and the sensor would end and be started again for ever."""
    file = tmp_path / "own.task"
    archive(file, GOOD)
    whole = file.read_bytes()
    begins = whole.index(b"PK\x01\x02")
    for at in range(begins, len(whole)):
        file.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        bundle.fault(str(file))  # for some bytes there is nothing to say; for none it may raise
    file.write_bytes(whole[: begins + 6] + b"\xff" + whole[begins + 7 :])  # made by a version of ZIP still to come
    assert "is no bundle of models" in str(bundle.fault(str(file)))


def test_a_pipe_is_no_model_and_nobody_waits_for_it(tmp_path):
    """The daemon, and `ligand config check`, would wait for a writer who never comes."""
    pipe = tmp_path / "own.task"
    os.mkfifo(pipe)
    assert bundle.fault(str(pipe)) == f"the model {pipe} cannot be read: it is a pipe, a socket or a device, not a file"


def test_another_model_under_the_same_name_is_noticed(tmp_path):
    """Who puts a better one in its place would look through the old one until the next restart."""
    file = tmp_path / "own.task"
    assert bundle.stamp("") == bundle.stamp(str(file)) == 0
    archive(file, GOOD)
    os.utime(file, ns=(1, 1))
    first = bundle.stamp(str(file))
    archive(file, GOOD)
    assert 0 < first < bundle.stamp(str(file))


def test_a_model_is_looked_at_before_a_camera_is_opened(tmp_path, monkeypatch):
    """A child that ends at once, again and again, would not say what is missing."""
    monkeypatch.setattr(extras, "lacking", lambda _: None)
    model = str(tmp_path / "own.task")
    seeing = Seeing("http://127.0.0.1/", model, face="largest", face_distance=0.5, fps=15, stall_s=3)
    trouble = cameras.find(seeing)
    assert isinstance(trouble, cameras.Trouble)
    assert (trouble.reason, trouble.device) == (f"the model {seeing.model} is not there", None)
    assert "face_landmarker.task" in trouble.hint
    archive(Path(seeing.model), GOOD)
    assert isinstance(cameras.find(seeing), cameras.Target)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model: own.task", "model"),
        ("model: /tmp/own.tflite", "model"),
        (
            "model: {folder}/own.task",
            "gaze_sensor: the model {folder}/own.task is not there: set model in gaze_sensor.yaml to",
        ),
        ("attention: {{lose: 0.7}}", "attention.lose (0.7) is above attention.gain (0.6)"),
    ],
)
def test_config_check_tells_of_what_cannot_be_used(tmp_path, text, told):
    """What can be told before a restart must not be found out after it."""
    file = tmp_path / "config" / "gaze_sensor.yaml"
    file.parent.mkdir()
    file.write_text(text.format(folder=tmp_path))
    checked = ligand(tmp_path, "config", "check")
    assert checked.code == 2
    assert told.format(folder=tmp_path) in checked.text
    assert str(file) in checked.text
