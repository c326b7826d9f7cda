"""What the child does: open the camera, look at its frames, tell what was measured, end when nobody listens.

It writes no file, and to nothing but the line to its parent; only a preview that was asked for makes a picture.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

import cv2

from services.gaze_sensor.engine import drawing
from services.gaze_sensor.engine.camera import NoFrames, camera
from services.gaze_sensor.engine.choosing import Chosen
from services.gaze_sensor.engine.landmarker import BadModel
from services.gaze_sensor.engine.likeness import Enrolled, Likeness
from services.gaze_sensor.engine.mesh import Mesh, Tracker, fitting, measured, outlines
from services.gaze_sensor.logic import ENROLLED, bounds_of, judge, nearest

WARMING = 10
"""Frames until a camera has found its exposure."""
FEATURES_S = 0.3
"""How often the features of a face are told that is to be learnt."""


class Line:
    """The way out: what was standard output. What libraries print goes to standard error instead."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)

    def say(self, **told: Any) -> None:
        """Tell one thing."""
        self._out.write(json.dumps(told) + "\n")


def main(order: Mapping[str, Any]) -> NoReturn:
    """Look until the camera ends or the parent does. `order`: task, sources, recogniser, those of
    `settings.Seeing`; see `preview`.
    """
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    cv2.setNumThreads(1)
    os.umask(0o077)
    line = Line()
    code = 0
    try:
        {"look": look, "enrol": enrol, "preview": preview}[order["task"]](order, line)
    except NoFrames as error:
        line.say(ended=error.kind)
    except BadModel as error:
        line.say(ended="model", model=order["model"], why=str(error))
    except BrokenPipeError:
        code = 1
    sys.stderr.flush()
    os._exit(code)  # the thread that reads a stalled camera cannot be ended otherwise


def look(order: Mapping[str, Any], line: Line) -> NoReturn:
    """Tell the measures of every frame."""
    source, frames = camera(order["sources"], order["fps"], order["stall_s"])
    first = frames.next()
    height, width = first.image.shape[:2]
    line.say(source=source, width=width, height=height)
    tracker = _follower(order)
    while True:
        frame = frames.next()
        image = fitting(frame.image)
        faces = measured(tracker.points(image, frame.t), image)
        line.say(t=round(frame.t, 4), faces=faces, seen=tracker.seen)


def enrol(order: Mapping[str, Any], line: Line) -> NoReturn:
    """Tell the features of the largest face from time to time, beside what `look` tells."""
    _, frames = camera(order["sources"], order["fps"], order["stall_s"])
    tracker, likeness = Tracker(order["model"]), Likeness(order["recogniser"])
    due = 0.0
    while True:
        frame = frames.next()
        image = fitting(frame.image)
        points = tracker.points(image, frame.t)
        told = {"t": round(frame.t, 4), "faces": measured(points, image), "seen": tracker.seen}
        if points and frame.t >= due:
            due = frame.t + FEATURES_S
            told["features"] = likeness.features(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), points[0])
        line.say(**told)


def _follower(order: Mapping[str, Any]) -> Tracker | Chosen:
    if order["face"] != ENROLLED:
        return Tracker(order["model"])
    enrolled = Enrolled(Likeness(order["recogniser"]), order["enrolled"], order["face_distance"])
    return Chosen(order["model"], enrolled)


def preview(order: Mapping[str, Any], line: Line) -> None:
    """Tell what is seen in one moment, once the camera has found its exposure; draw it to `png`, if that is given.

    `bounds` and `straight` are those of the configuration.
    """
    source, frames = camera(order["sources"], order["fps"], order["stall_s"])
    image = frames.next().image
    with suppress(NoFrames):
        for _ in range(WARMING):
            image = frames.next().image
    image = fitting(image)
    points = Mesh(order["model"]).points(image)
    faces = measured(points, image)
    factors = judge(nearest(faces), bounds_of(order["bounds"], order["straight"]))
    told = {"source": source, "faces": faces, **factors.facts()}
    if order["png"]:
        told["drawn"] = drawing.write(order["png"], image, points, told)
    line.say(**told, dots=[outlines(face) for face in points])


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)
