"""What makes attention, and when it begins and ends; pure decisions, no engine needed."""

from __future__ import annotations

from dataclasses import replace
from math import cos, radians, sin
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.gaze_sensor import calibrating, cameras
from services.gaze_sensor.commands import braille
from services.gaze_sensor.geometry import CHIN, FOREHEAD, LEFT_CHEEK, LEFT_EYE, RIGHT_CHEEK, RIGHT_EYE, measure
from services.gaze_sensor.logic import Attention, Face, Factors, Times, judge, nearest
from services.gaze_sensor.settings import Settings
from services.runtime import config
from services.runtime.manifest import Manifest
from signals.errors import ConfigError

MANIFEST = Manifest.of("gaze_sensor")
HERE = Face(x=0.5, y=0.5, size_px=120, yaw_deg=0, pitch_deg=5, eye_opening=0.32, gaze_x=0.0, gaze_y=-0.1)
TIMES = Times(smoothing_s=0.25, gain=0.6, gain_after_s=0.5, lose=0.4, lose_after_s=2.0)


def settings(tmp_path: Path, text: str = "") -> Settings:
    file = tmp_path / "gaze_sensor.yaml"
    file.write_text(text)
    return Settings.of(config.load(file, MANIFEST.config, daemon="gaze_sensor"))


@pytest.mark.parametrize(
    "away",
    [
        {"size_px": 50},
        {"x": 0.01},
        {"y": 0.99},
        {"yaw_deg": 40},
        {"yaw_deg": -40},
        {"pitch_deg": 45},
        {"eye_opening": 0.06},
        {"gaze_x": 0.35},
        {"gaze_x": -0.35},
        {"gaze_y": 0.6},
    ],
    ids=str,
)
def test_one_thing_against_it_is_enough(tmp_path, away):
    """In a sum, open eyes would make up for a head that is turned away, and the wrong people would be heard."""
    bounds = settings(tmp_path).bounds
    assert judge(HERE, bounds).score > 0.9
    assert judge(replace(HERE, **away), bounds).score < 0.1


def test_a_camera_beside_the_screen_is_allowed_for(tmp_path):
    """Who has the camera at the side would never be seen to look at the screen."""
    turned = replace(HERE, yaw_deg=30, gaze_x=0.2)
    assert judge(turned, settings(tmp_path).bounds).score < 0.3
    own = settings(tmp_path, "straight: {yaw_deg: 28, gaze_x: 0.19}").bounds
    assert judge(turned, own).score > 0.9
    assert judge(HERE, own).score < 0.3


def test_the_largest_face_counts(tmp_path):
    """Somebody far behind the person who looks here must not speak in their name."""
    faces = [{name: getattr(one, name) for name in Face.__slots__} for one in (replace(HERE, size_px=60), HERE)]
    assert nearest(faces) == HERE
    assert nearest([]) is None
    assert judge(None, settings(tmp_path).bounds) == Factors(0, 0, 0)


def follow(attention: Attention, scores: list[tuple[float, float]], fps: float = 15.0) -> list[tuple[float, bool]]:
    """Feed (seconds, score) in turn; when what changed."""
    t, nth, changes = 0.0, 0, []
    for seconds, score in scores:
        for _ in range(round(seconds * fps)):
            t, nth = nth / fps, nth + 1
            if (change := attention.feed(t, score)) is not None:
                changes.append((t, change.gained))
    return changes


@pytest.mark.parametrize("fps", [5.0, 15.0, 60.0])
def test_attention_begins_and_ends_in_its_time_however_fast_the_camera(fps):
    """Smoothing by frames would make a slow camera wait three times as long."""
    (gained, first), (lost, second) = follow(Attention(TIMES), [(3, 0.0), (4, 1.0), (5, 0.0)], fps)
    assert (first, second) == (True, False)
    assert 3.5 <= gained <= 4.2
    assert 9.0 <= lost <= 9.6


def test_a_blink_or_a_glance_aside_changes_nothing():
    """A person who blinks, or looks at the clock for a second, is still talking to the machine."""
    scores = [(2, 1.0), (0.3, 0.0), (2, 1.0), (1.5, 0.02), (2, 1.0)]
    assert len(follow(Attention(TIMES), scores)) == 1
    assert follow(Attention(TIMES), [(2, 0.0), (0.4, 1.0), (3, 0.0)]) == []  # nor does who only passes


def test_between_the_two_bounds_nothing_changes():
    """At one bound alone, a score that trembles would be told of all day."""
    trembling = [(0.2, 0.55), (0.2, 0.45)] * 20
    assert [gained for _, gained in follow(Attention(TIMES), [(2, 1.0), *trembling])] == [True]
    assert follow(Attention(TIMES), trembling) == []


@given(st.lists(st.tuples(st.floats(0.0, 1e6), st.floats(0.0, 1.0)), max_size=60))
def test_gained_and_lost_take_turns_whatever_comes(frames):
    """Two gains without a loss between, or time that runs backwards, would leave a listener open for ever."""
    attention, gained = Attention(TIMES), []
    for t, score in frames:
        if (change := attention.feed(t, score)) is not None:
            gained.append(change.gained)
            assert change.duration_s is None or change.duration_s >= 0
        assert 0.0 <= attention.smoothed <= 1.0
    if (end := attention.end()) is not None:
        gained.append(end.gained)
    assert gained == [nth % 2 == 0 for nth in range(len(gained))]
    assert not attention.attending


def face_of(look: float = 0.0, lids: float = 0.3, turn_deg: float = 0.0, lean_deg: float = 0.0) -> list[list[float]]:
    """Landmarks of a made-up face 200 pixels wide in the middle of 640 by 480."""
    pixels: dict[int, tuple[float, float, float]] = {
        RIGHT_CHEEK: (-100, 0, 0),
        LEFT_CHEEK: (100, 0, 0),
        FOREHEAD: (0, -120, 0),
        CHIN: (0, 120, 0),
    }
    for eye, x in ((RIGHT_EYE, -45.0), (LEFT_EYE, 45.0)):
        pixels |= {eye.corner: (x - 20, -30, 0), eye.far_corner: (x + 20, -30, 0), eye.iris: (x + 20 * look, -30, 0)}
        for upper, lower in eye.lids:
            pixels |= {upper: (x, -30 - 20 * lids, 0), lower: (x, -30 + 20 * lids, 0)}
    points = [[0.5, 0.5, 0.0] for _ in range(478)]
    turn, lean = radians(turn_deg), radians(lean_deg)
    for nth, (x, y, _) in pixels.items():
        near = cos(turn) * x
        across, down = near * cos(lean) - y * sin(lean), near * sin(lean) + y * cos(lean)
        points[nth] = [0.5 + across / 640, 0.5 + down / 480, sin(turn) * x / 640]
    return points


@pytest.mark.parametrize("lean_deg", [0, 20])
def test_a_straight_look_is_measured_straight_in_both_eyes(lean_deg):
    """With one iris measured from the corner of the wrong eye, a perfect face scored less than one that looks aside."""
    found = measure(face_of(lean_deg=lean_deg), 640, 480)
    assert (found["gaze_x"], found["gaze_y"], found["yaw_deg"]) == pytest.approx((0, 0, 0), abs=1e-6)
    assert found["size_px"] == pytest.approx(200)
    assert found["eye_opening"] == pytest.approx(0.3)
    aside = measure(face_of(look=-0.4, lids=0.05, lean_deg=lean_deg), 640, 480)
    assert (aside["gaze_x"], aside["eye_opening"]) == pytest.approx((-0.4, 0.05))
    assert measure(face_of(turn_deg=30), 640, 480)["yaw_deg"] == pytest.approx(30)


def test_settings_that_contradict_each_other_are_refused(tmp_path):
    """Attention that is lost as soon as it is gained, or a bound that divides by zero, is told before it is used."""
    with pytest.raises(ConfigError, match=r"attention\.lose \(0\.7\) is above attention\.gain \(0\.6\)"):
        settings(tmp_path, "attention: {lose: 0.7}")
    with pytest.raises(ConfigError, match=r"bounds\.yaw_deg: none and full are both 20"):
        settings(tmp_path, "bounds: {yaw_deg: {none: 20, full: 20}}")
    with pytest.raises(ConfigError, match="camera"):
        settings(tmp_path, "camera: file.avi")  # from where? a daemon has no folder of its own to look from


def test_no_password_of_a_camera_is_told():
    """The address of a camera on the network often holds its password; signals are kept for a month."""
    trouble = cameras.unusable("stalled", ("rtsp://me:secret@10.0.0.7/live?key=secret",))
    assert "secret" not in str(trouble.facts("gaze_sensor"))
    assert "rtsp://10.0.0.7/live" in trouble.reason


OWN = [replace(HERE, yaw_deg=12.0 + 0.1 * (nth % 5), eye_opening=0.24) for nth in range(40)]


def test_own_measures_get_into_a_file_whose_comments_stay(tmp_path):
    """Who wrote into their file why a value is as it is must find that again, beside what was measured."""
    file = tmp_path / "gaze_sensor.yaml"
    found = calibrating.suggestion(OWN, 42)
    judged = lambda made: Settings.of(config.load(made, MANIFEST.config, daemon="gaze_sensor"))  # noqa: E731
    assert calibrating.write(file, found, judged) is None
    assert yaml.safe_load(file.read_text()) == found
    assert found["straight"]["yaw_deg"] == 12.2

    own = "# mine\ncamera: auto  # the one above\nstraight:\n  yaw_deg: 3  # guessed\n"
    for before in (own, "# nothing is set\n#camera: auto\n"):
        file.write_text(before)
        copy = calibrating.write(file, found, judged)
        assert copy is not None
        assert copy.read_text() == before
        text = file.read_text()
        assert before.splitlines()[0] in text
        assert "measured by" in text
        assert settings_of(file)["straight"]["yaw_deg"] == 12.2
    file.write_text(own)
    calibrating.write(file, found, judged)
    assert "# the one above" in file.read_text()

    file.write_text("attention: {lose: 0.7}\n")
    with pytest.raises(ConfigError):
        calibrating.write(file, found, judged)  # what cannot be used is left as it is
    assert file.read_text() == "attention: {lose: 0.7}\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["gaze_sensor.yaml", "gaze_sensor.yaml.bak"]


def settings_of(file: Path) -> dict:
    return config.load(file, MANIFEST.config, daemon="gaze_sensor")


def test_what_is_no_measure_is_refused():
    """Settings from a face that was hardly seen, or moved, would be worse than the defaults."""
    with pytest.raises(ConfigError, match="seen in 40 of 80 frames"):
        calibrating.suggestion(OWN, 80)
    moving = [replace(HERE, yaw_deg=nth) for nth in range(40)]
    with pytest.raises(ConfigError, match="You moved"):
        calibrating.suggestion(moving, 40)


def test_dots_are_drawn_where_they_are():
    """A preview that is upside down would have a person mend what is right."""
    first, middle, last = braille([[[0.0, 0.0], [0.999, 0.999], [2.0, 2.0]]], columns=8)
    blank = "\u2800"
    assert (first, middle, last) == ("\u2801" + 7 * blank, 8 * blank, 7 * blank + "\u2880")
