"""What is said of a camera that cannot be opened, and what becomes of its frames; no engine needed."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from traceback import format_exception
from types import ModuleType
from typing import Any

import pytest

from services.gaze_sensor import cameras
from services.gaze_sensor.settings import Seeing, Settings
from services.runtime import config, extras
from services.runtime.manifest import Manifest
from signals.errors import ConfigError
from tests.support.commands import ligand

MANIFEST = Manifest.of("gaze_sensor")
ADDRESSES = ("http://me:secret@[", "rtsp://me:secret@[nowhere]/live", "http://me:secret@camera:99999999/")


def looking_at(camera: str) -> Seeing:
    return Seeing(camera, model="", face="largest", face_distance=0.5, fps=15, stall_s=3)


def test_what_is_wrong_with_a_camera_is_said_of_each_kind(tmp_path, monkeypatch):
    """A path that cannot even be looked at would end the daemon, again and again, instead of being named."""
    monkeypatch.setattr(extras, "lacking", lambda _: None)
    film, pipe, long = tmp_path / "film.avi", tmp_path / "pipe", tmp_path / ("a" * 300)
    film.touch()
    os.mkfifo(pipe)

    def told(camera: Path | str) -> str:
        found = cameras.find(looking_at(str(camera)))
        assert isinstance(found, cameras.Trouble)
        return found.reason

    os.utime(film, (0, 0))  # as out of an archive that keeps no times
    found = cameras.find(looking_at(str(film)))
    assert isinstance(found, cameras.Target)
    assert found.is_film  # and so read once
    (tmp_path / "link").symlink_to("/dev/null")
    link = cameras.find(looking_at(str(tmp_path / "link")))
    assert isinstance(link, cameras.Target)
    assert (link.sources, link.is_film) == (("/dev/null",), False)
    assert told("/dev/video99") == "the camera /dev/video99 is not there"
    assert told(tmp_path / "none.avi") == f"the film {tmp_path}/none.avi is not there"
    assert told(long) == f"the film {long} cannot be opened: File name too long"
    assert told(film / "under") == f"the film {film}/under cannot be opened: Not a directory"
    for other in (tmp_path, pipe):
        assert told(other) == f"{other} is neither a device nor a film"


def test_what_to_look_at_is_said_of_each_kind():
    """Who wrote a wrong password would look for a cable, and who named a text for another program."""

    def hint(source: str) -> str:
        return cameras.unusable("cannot_open", (source,)).hint

    assert "plugged in" in hint("/dev/video0")
    assert "password" in hint("rtsp://me:secret@camera/live")
    assert "film" in hint("/home/me/text.avi")


def test_an_address_that_is_none_is_refused_without_its_password(tmp_path):
    """It would end the daemon when it says which camera it opens; and a terminal is no place for a password."""
    for address in ADDRESSES:
        with pytest.raises(ConfigError, match="camera is no address of a stream") as refused:
            Settings.of({**config.load(None, MANIFEST.config, daemon="gaze_sensor"), "camera": address})
        assert "secret" not in "".join(format_exception(refused.value))
    file = tmp_path / "config" / "gaze_sensor.yaml"
    file.parent.mkdir()
    file.write_text(f"camera: '{ADDRESSES[0]}'\n")
    for command in (("config", "check"), ("gaze", "preview", "--camera", ADDRESSES[1])):
        done = ligand(tmp_path, *command)
        told = done.text + done.err
        assert (done.code, "camera is no address of a stream" in told, "secret" in told) == (2, True, False), told


class Capture:
    """A camera that gives the frames it is handed; None is its end."""

    def __init__(self) -> None:
        self._frames: deque[int | None] = deque()
        self._changed = threading.Condition()
        self._waits = False
        self._frame: int | None = None

    def give(self, *frames: int | None) -> None:
        """All of them at once; returns when each was taken."""
        with self._changed:
            self._frames.extend(frames)
            self._waits = False
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._waits or frames[-1] is None, 10)

    def isOpened(self) -> bool:
        return True

    def grab(self) -> bool:
        with self._changed:
            self._waits = not self._frames
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._frames)
            self._frame = self._frames.popleft()
        return self._frame is not None

    def retrieve(self) -> tuple[bool, int | None]:
        return True, self._frame


@pytest.fixture
def reading(monkeypatch) -> Iterator[tuple[Any, Capture]]:
    """What reads a camera, and the camera: the only thing here that is not real."""
    capture, cv2 = Capture(), ModuleType("cv2")
    cv2.VideoCapture = lambda *_: capture  # type: ignore[attr-defined]
    timeouts = ("CAP_PROP_OPEN_TIMEOUT_MSEC", "CAP_PROP_READ_TIMEOUT_MSEC")
    for name in ("CAP_FFMPEG", "CAP_PROP_N_THREADS", "CAP_PROP_FPS", "CAP_PROP_POS_MSEC", *timeouts):
        setattr(cv2, name, name)
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    name = "services.gaze_sensor.engine.camera"
    yield importlib.import_module(name), capture
    del sys.modules[name]


class Reel:
    """A film whose frames say that they are due at these times, in milliseconds; its mean rate is 10 a second."""

    def __init__(self, times: list[float]) -> None:
        self._times = times

    def isOpened(self) -> bool:
        return True

    def get(self, what: str) -> float:
        return 10.0 if what == "CAP_PROP_FPS" else self._times[0]

    def grab(self) -> bool:
        self._times = self._times[1:]
        return bool(self._times)

    def retrieve(self) -> tuple[bool, float]:
        return True, self._times[0]


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        ([0, 100, 200, 2000, 2100], [0, 0.1, 0.2, 2, 2.1]),  # a telephone takes a frame when there is light for it
        ([0, 33, 67, 100, 133, 167, 200], [0, 0.1, 0.2]),
        ([0, 100, 100, 100, 400], [0, 0.1, 0.2, 0.3, 0.4]),
        ([0, 100, -5000, float("nan"), float("inf"), 600], [0, 0.1, 0.2, 0.3, 0.4, 0.6]),
        ([0, 0, 0], [0, 0.1, 0.2]),
    ],
    ids=["uneven", "too many", "stands still", "wrong", "none"],
)
def test_a_film_goes_by_the_clock_of_its_frames_as_far_as_that_goes_on(reading, monkeypatch, told, taken):
    """A person who looked here for a second in a film would have done so for another time, or for ever."""
    module, _ = reading
    monkeypatch.setattr(module.cv2, "VideoCapture", lambda *_: Reel([0.0, *told]))
    film = module.Film("film", fps=10)
    assert [film.next().t for _ in taken] == pytest.approx(taken)
    with pytest.raises(module.NoFrames, match="ended"):
        film.next()


def test_frames_are_dropped_and_never_queued(reading):
    """An engine that is slower than its camera would see what was a minute ago, and answer to it."""
    module, capture = reading
    live = module.Live("http://camera/", fps=1e6, stall_s=0.2)
    capture.give(1, 2, 3, 4, 5)
    assert live.next().image == 5
    with pytest.raises(module.NoFrames) as stalled:
        live.next()
    assert stalled.value.kind == "stalled"
    capture.give(6)
    assert live.next().image == 6
    capture.give(None)
    with pytest.raises(module.NoFrames) as gone:
        live.next()
    assert gone.value.kind == "gone"


def test_what_a_camera_gives_beyond_its_pace_is_dropped(reading):
    """A camera of 60 frames a second would cost four times what was allowed for."""
    module, capture = reading
    live = module.Live("http://camera/", fps=1e-3, stall_s=0.2)
    capture.give(1, 2)
    assert live.next().image == 2
    capture.give(3, 4)
    with pytest.raises(module.NoFrames):
        live.next()
    capture.give(None)
