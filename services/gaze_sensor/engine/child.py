"""What the child does: open the camera, look at its frames, tell what was measured, end when nobody listens."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any, NoReturn

import cv2

from services.gaze_sensor.engine.camera import NoFrames, camera
from services.gaze_sensor.engine.mesh import Mesh, fitting, measured


class Line:
    """The way out: what was standard output. What libraries print goes to standard error instead."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)

    def say(self, **told: Any) -> None:
        """Tell one thing."""
        self._out.write(json.dumps(told) + "\n")


def main(order: Mapping[str, Any]) -> NoReturn:
    """Look until the camera ends or the parent does. `order`: sources, fps, faces, stall_s."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    cv2.setNumThreads(1)
    line = Line()
    code = 0
    try:
        _look(order, line)
    except NoFrames as error:
        line.say(ended=error.kind)
    except BrokenPipeError:
        code = 1
    sys.stderr.flush()
    os._exit(code)  # the thread that reads a stalled camera cannot be ended otherwise


def _look(order: Mapping[str, Any], line: Line) -> NoReturn:
    source, frames = camera(order["sources"], order["fps"], order["stall_s"])
    first = frames.next()
    height, width = first.image.shape[:2]
    line.say(source=source, width=width, height=height)
    mesh = Mesh(order["faces"])
    while True:
        frame = frames.next()
        image = fitting(frame.image)
        line.say(t=round(frame.t, 4), faces=measured(mesh.points(image), image))


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)
