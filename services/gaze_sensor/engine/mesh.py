"""Finds the landmarks of all faces in a still, or follows the largest face from frame to frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import cv2

from services.gaze_sensor.engine.landmarker import BadModel, Landmarker, landmarker, make_findable
from services.gaze_sensor.engine.pace import Pace
from services.gaze_sensor.geometry import NOSE_BASE, USED, Faces, Points, measure

WIDEST, TALLEST = 640, 1600
"""In pixels. MediaPipe aborts at pictures that are some thousand times as high as wide."""
MOST = 4
"""Faces that are looked for in a still picture."""
NOSE = 1
FURTHEST = 100.0
"""From the picture, in shares of it, that a landmark may be."""
FOLLOWED = (NOSE, NOSE_BASE, *USED)
"""The landmarks that are read of each frame: all 478 of them cost as much as a tenth of finding them."""


class Mesh:
    """Finds all faces in pictures that do not follow each other; `model` as in the configuration."""

    def __init__(self, model: str = "") -> None:
        self._mesh = landmarker(model, MOST, still=True)

    def points(self, image: Any) -> list[Points]:
        """The landmarks of each face in a BGR picture."""
        found = self._mesh.find(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), 0.0)
        return [placed([one.x, one.y, one.z] for one in face) for face in found]


class Box(NamedTuple):
    """Where a face is, in shares of the picture."""

    left: float
    top: float
    width: float
    height: float

    def holds(self, x: float, y: float) -> bool:
        """Whether a point is in it."""
        return 0 <= x - self.left <= self.width and 0 <= y - self.top <= self.height


class Tracker:
    """Follows the largest face from frame to frame, which costs half of looking for all faces in each.

    `around_s` is how often it looks who else is there; `seen` counts the faces that it found then. To frames in which
    it rests the last look applies.
    """

    def __init__(self, model: str = "", around_s: float = 0.5) -> None:
        make_findable()
        # whose options the graph of the second needs: without them it finds one face eight times
        from mediapipe.calculators.util import non_max_suppression_calculator_pb2  # noqa: F401, PLC0415
        from mediapipe.python.solutions.face_detection import FaceDetection  # noqa: PLC0415 - slow, and only once used

        self.seen = 0
        self._around_s = around_s
        self._due = 0.0
        self._pace = Pace()
        self._finder = FaceDetection(model_selection=0)
        self._mesh = landmarker(model, 1, still=False)
        self._nose: Sequence[float] | None = None

    def points(self, image: Any, t: float) -> Faces:
        """The landmarks of the largest face in the frame at `t`, if there is one."""
        if self._pace.rests(t):
            return self._pace.last
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        if self._nose is not None and t >= self._due and (largest := self._look_around(rgb, t)) is not None:
            alone = nothing_but(largest, rgb)
            self._mesh.find(alone, t)  # where it was there is no face now, so it looks for one in the next
            faces = followed(self._mesh, alone, t)
        else:
            faces = followed(self._mesh, rgb, t)
        self._nose = faces[0][NOSE] if faces else None
        self.seen = max(len(faces), self.seen if faces else 0)
        self._pace.note(t, faces)
        return faces

    def _look_around(self, rgb: Any, t: float) -> Box | None:
        """The largest of several faces, if it is not the one that is followed."""
        self._due = t + self._around_s
        boxes = [_box(one) for one in self._finder.process(rgb).detections or ()]
        self.seen = len(boxes)
        largest = max(boxes, key=lambda box: box.width, default=None)
        if largest is None or len(boxes) < 2 or (self._nose is not None and largest.holds(*self._nose[:2])):
            return None
        return largest


def _box(detection: Any) -> Box:
    found = detection.location_data.relative_bounding_box
    return Box(found.xmin, found.ymin, found.width, found.height)


def nothing_but(box: Box, rgb: Any) -> Any:
    """The picture with all but the surroundings of one face made grey."""
    height, width = rgb.shape[:2]
    left, right = (box.left - box.width / 2) * width, (box.left + box.width * 1.5) * width
    top, bottom = (box.top - box.height / 2) * height, (box.top + box.height * 1.5) * height
    rows, columns = slice(max(0, int(top)), max(0, int(bottom))), slice(max(0, int(left)), max(0, int(right)))
    alone = rgb.copy()
    alone[:] = 128
    alone[rows, columns] = rgb[rows, columns]
    return alone


def around(face: Points) -> Box:
    """Where a face is."""
    across, down = [point[0] for point in face], [point[1] for point in face]
    return Box(min(across), min(down), max(across) - min(across), max(down) - min(down))


def followed(mesh: Landmarker, rgb: Any, t: float) -> Faces:
    """What is read of the faces that are followed."""
    found = [[face[at] for at in FOLLOWED] for face in mesh.find(rgb, t)]
    return [dict(zip(FOLLOWED, placed((one.x, one.y, one.z) for one in face), strict=True)) for face in found]


def placed(points: Iterable[Sequence[float]]) -> Points:
    """Landmarks that are somewhere. Raises `BadModel` for others, as a model gives whose weights are damaged."""
    found = list(points)
    if not all(abs(each) < FURTHEST for each in chain.from_iterable(found)):  # nor is what is no number
        raise BadModel("the landmarks that it finds are no places in a picture")
    return found


def outlines(face: Points) -> list[list[float]]:
    """Points along the outlines of a face, its eyes, irises, brows and lips."""
    from mediapipe.python.solutions.face_mesh_connections import (  # noqa: PLC0415 - after `Mesh` has made it findable
        FACEMESH_CONTOURS,
        FACEMESH_IRISES,
    )

    lines = [(face[start], face[end]) for start, end in (*FACEMESH_CONTOURS, *FACEMESH_IRISES)]
    return [[a[0] + (b[0] - a[0]) * step / 3, a[1] + (b[1] - a[1]) * step / 3] for a, b in lines for step in range(3)]


def fitting(image: Any) -> Any:
    """The picture, made smaller if it is larger than what is needed."""
    height, width = image.shape[:2]
    share = min(WIDEST / width, TALLEST / height)
    if share >= 1:
        return image
    size = max(1, round(width * share)), max(1, round(height * share))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def measured(points: Faces, image: Any) -> list[dict[str, float]]:
    """The measures of each face, rounded as far as they mean anything."""
    height, width = image.shape[:2]
    faces = [measure(face, width, height) for face in points]
    return [{name: round(value, 4) for name, value in face.items()} for face in faces]
