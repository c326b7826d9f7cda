"""Scenes of a portrait, and the commands. If this fails, closed or averted eyes are taken for attention."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import pytest
import yaml

from services.gaze_sensor.logic import judge, nearest
from services.gaze_sensor.settings import Settings
from services.runtime import config
from services.runtime.manifest import Manifest
from tests.support.constellation import ROOT

pytestmark = [pytest.mark.xdist_group("senses")]

KINDS = ("looking", "aside", "closed", "absent")


@pytest.fixture(scope="module", params=["measures", "measures-bundle"])
def scores(request, scenes) -> dict[str, dict[str, float]]:
    """The score of each scene by the default settings, by kind; with the models inside the package, and of a bundle."""
    manifest = Manifest.of("gaze_sensor")
    bounds = Settings.of(config.load(None, manifest.config, daemon="gaze_sensor")).bounds
    measures = json.loads(scenes[request.param].read_text())
    found = {name: judge(nearest(faces), bounds).score for name, faces in measures.items()}
    return {kind: {name: score for name, score in found.items() if name.startswith(kind)} for kind in KINDS}


def test_scenes_are_ordered_as_a_person_would_order_them(scores):
    """Whoever looks here scores above all who look aside, those above closed eyes, and those above nobody."""
    assert sum(map(len, scores.values())) >= 20
    for more, less in pairwise(KINDS):
        assert min(scores[more].values()) > max(scores[less].values()), (more, less, scores)


def test_looking_is_attention_and_nothing_else_is(scores):
    """In the order but on the wrong side of the bounds, nobody would ever be heard, or everybody."""
    gain, lose = 0.6, 0.4
    print({name: round(score, 4) for kind in KINDS for name, score in scores[kind].items()})
    assert [name for name, score in scores["looking"].items() if score < gain + 0.2] == []
    assert [name for kind in KINDS[1:] for name, score in scores[kind].items() if score >= lose] == []


def test_a_named_bundle_measures_what_the_models_inside_the_package_do(scenes):
    """With other landmarks, or in another order, whoever names a model of their own would have to find all bounds."""
    own, other = (json.loads(scenes[name].read_text()) for name in ("measures-bundle", "measures"))
    assert own.keys() == other.keys()
    assert sum(map(len, own.values())) > 20
    for scene, faces in own.items():
        for one, same in zip(faces, other[scene], strict=True):
            for name, value in one.items():
                near = 0.5 if name.endswith(("deg", "px")) else 0.01
                assert value == pytest.approx(same[name], abs=near), (scene, name)


def ligand(home, *arguments: str) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tools.ligand", "gaze", *arguments, "--home", str(home)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_preview_shows_what_is_seen_and_writes_only_what_was_asked_for(scenes, tmp_path):
    """A person who wonders why they are not heard sees which factor speaks against it."""
    home, png = tmp_path / "home", tmp_path / "seen"
    home.mkdir()
    closed, far = str(scenes["closed-near"]), str(scenes["looking-far"])
    with ThreadPoolExecutor() as beside:
        look = partial(beside.submit, ligand, home, "preview", "--camera")
        drawing, refusing = look(closed, "--png", str(png)), look(closed, "--png", str(tmp_path / "none" / "seen"))
        telling = look(far, "-o", "json")
    done, refused = drawing.result(), refusing.result()
    assert done.returncode == 0, done.stderr
    assert "score 0.00 (face_centred 1.00, eyes_open 0.00, gaze 1.00)" in done.stdout
    assert sum("\u2800" < sign <= "\u28ff" for sign in done.stdout) > 100  # the landmarks, in the terminal
    assert png.read_bytes().startswith(b"\x89PNG")
    assert stat.S_IMODE(png.stat().st_mode) == 0o600  # a face is for those who asked
    png.unlink()
    assert (refused.returncode, "could not be written" in refused.stderr) == (1, True)
    told = json.loads(telling.result().stdout)
    assert told["score"] > 0.9
    assert [one.name for one in tmp_path.rglob("*") if one.suffix in (".png", ".jpg")] == []


def test_a_preview_sees_with_the_named_model_and_says_what_is_wrong_with_it(scenes, tmp_path):
    """A person who names a model learns what is wrong with it where they look, not from a sensor that stays blind."""
    file = tmp_path / "config" / "gaze_sensor.yaml"
    file.parent.mkdir()
    file.write_text(f"model: {scenes['face_landmarker']}\n")
    look = ("preview", "--camera", str(scenes["looking-straight"]))
    told = json.loads(ligand(tmp_path, *look, "-o", "json").stdout)
    (same,) = json.loads(scenes["measures-bundle"].read_text())["looking-straight"]
    assert told["faces"] == [same]
    for bundle in ("other", "broken"):  # one says something else, one says of its irises what is no number
        file.write_text(f"model: {scenes[bundle]}\n")
        refused = ligand(tmp_path, *look)
        assert refused.returncode == 1
        assert f"cannot use the model {scenes[bundle]}" in refused.stderr
        assert "set model in gaze_sensor.yaml to" in refused.stderr


def test_calibration_measures_a_person_and_writes_settings_with_comments(scenes, tmp_path):
    """A camera beside the screen sees who looks at the screen as looking aside, until it is told otherwise."""
    file = tmp_path / "config" / "gaze_sensor.yaml"
    file.parent.mkdir()
    file.write_text("# mine\nfps: 10  # enough\n")
    done = ligand(tmp_path, "calibrate", "--seconds", "2", "--camera", str(scenes["straight"]), "--write")
    assert done.returncode == 0, done.stderr
    text = file.read_text()
    assert text.startswith("# mine\nfps: 10  # enough\n")
    found = yaml.safe_load(text)
    assert 5 < found["straight"]["pitch_deg"] < 15
    assert 0.18 < found["bounds"]["eye_opening"]["full"] < 0.25
    refused = ligand(tmp_path, "calibrate", "--seconds", "2", "--camera", str(scenes["film"]))
    assert refused.returncode == 2
    assert "A face was seen in" in refused.stderr
