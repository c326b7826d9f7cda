"""Where frames come from: a device or an address, of which only the newest frame counts, or a file, frame by frame."""

from __future__ import annotations

import threading
import time
from math import inf
from typing import Any, NamedTuple

import cv2

WIDTH, HEIGHT = 640, 480
DEVICES = "/dev/"


class NoFrames(Exception):
    """A camera cannot be used; `kind` says how: cannot_open, stalled, gone, ended (a film)."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Frame(NamedTuple):
    """A picture and when it was taken: on the monotonic clock, or that of the file. Seconds."""

    image: Any
    t: float


class Film:
    """A file, read as fast as it is looked at, with the time by the clock of its frames."""

    def __init__(self, path: str, fps: float) -> None:
        self._capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if not self._capture.isOpened():
            raise NoFrames("cannot_open")
        self._rate = self._capture.get(cv2.CAP_PROP_FPS) or fps
        self._step_s = 1.0 / fps
        self._t = -1.0 / self._rate
        self._due = 0.0
        self._any = False

    def next(self) -> Frame:
        """The next frame that is due. Raises `NoFrames` at the end."""
        while self._capture.grab():
            self._t, self._any = self._time(), True
            if self._t + self._step_s / 4 >= self._due:
                self._due = max(self._due + self._step_s, self._t)
                there, image = self._capture.retrieve()
                if there:
                    return Frame(image, self._t)
        raise NoFrames("ended" if self._any else "cannot_open")

    def _time(self) -> float:
        """When the frame is due by its own clock, or by the mean rate where that has none, stands still, goes back."""
        told = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return told if self._t < told < inf else self._t + 1 / self._rate


class Picture:
    """A file with one picture."""

    def __init__(self, image: Any) -> None:
        self._image = image

    def next(self) -> Frame:
        """The picture, once. Raises `NoFrames` after it."""
        image, self._image = self._image, None
        if image is None:
            raise NoFrames("ended")
        return Frame(image, 0.0)


class Live:
    """A camera. A thread takes every frame as it comes; those that nobody waits for are dropped, none is queued."""

    def __init__(self, source: str, fps: float, stall_s: float) -> None:
        self._capture = _opened(source, stall_s)
        self._step_s = 1.0 / fps
        self._stall_s = stall_s
        self._news = threading.Condition()
        self._frame: Frame | None = None
        self._ended = False
        threading.Thread(target=self._read, name="camera", daemon=True).start()

    def next(self) -> Frame:
        """The newest frame, once. Raises `NoFrames` when none comes in time, or the camera has ended."""
        with self._news:
            self._news.wait_for(lambda: self._frame is not None or self._ended, self._stall_s)
            frame, self._frame = self._frame, None
        if frame is None:
            raise NoFrames("gone" if self._ended else "stalled")
        return frame

    def _read(self) -> None:
        due = 0.0
        while self._capture.grab():
            now = time.monotonic()
            if now + self._step_s / 4 < due:
                continue
            there, image = self._capture.retrieve()
            if there:
                due = max(due + self._step_s, now)
                self._put(Frame(image, now))
        self._put(None)

    def _put(self, frame: Frame | None) -> None:
        with self._news:
            self._frame, self._ended = frame or self._frame, frame is None
            self._news.notify()


def _opened(source: str, stall_s: float) -> Any:
    if source.startswith(DEVICES):
        wanted = [cv2.CAP_PROP_FRAME_WIDTH, WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, HEIGHT, cv2.CAP_PROP_BUFFERSIZE, 1]
        capture = cv2.VideoCapture(source, cv2.CAP_V4L2, wanted)
    else:
        limit = int(stall_s * 1000)
        # a read that hangs is noticed by who waits for the frame; this only ends it when nobody does any more
        wanted = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 2 * limit]
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, [*wanted, cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        raise NoFrames("cannot_open")
    return capture


def camera(sources: list[str], fps: float, stall_s: float) -> tuple[str, Film | Picture | Live]:
    """The first of these that can be opened. Raises `NoFrames`."""
    trouble = NoFrames("cannot_open")
    for source in sources:
        try:
            return source, _file(source, fps) if is_file(source) else Live(source, fps, stall_s)
        except NoFrames as error:
            trouble = error
    raise trouble


def is_file(source: str) -> bool:
    """Neither a device nor an address."""
    return not source.startswith(DEVICES) and "://" not in source


def _file(path: str, fps: float) -> Film | Picture:
    return Picture(image) if (image := cv2.imread(path)) is not None else Film(path, fps)
