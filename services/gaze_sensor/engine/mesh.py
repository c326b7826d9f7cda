"""MediaPipe's face mesh, with the models inside its package."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2

from services.gaze_sensor.geometry import Points, measure

WIDEST = 640
Faces = list[list[list[float]]]
"""[face][landmark][x, y, z]; see `geometry`."""


def _make_findable() -> None:
    """Let parts of MediaPipe be imported without its `__init__`s, which load all it can do, and matplotlib for it."""
    if "mediapipe" in sys.modules:
        return
    spec = find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("mediapipe is not in the folder of the engine")
    for name in ("mediapipe", "mediapipe.python", "mediapipe.python.solutions"):
        module = ModuleType(name)
        module.__path__ = [str(Path(spec.origin).parent.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module


class Mesh:
    """Finds faces. `still` for pictures that do not follow each other."""

    def __init__(self, faces: int, *, still: bool = False) -> None:
        _make_findable()
        from mediapipe.python.solutions.face_mesh import FaceMesh  # noqa: PLC0415 - slow, and only once a frame came

        self._mesh = FaceMesh(static_image_mode=still, max_num_faces=faces, refine_landmarks=True)

    def points(self, image: Any) -> Faces:
        """The landmarks of each face in a BGR picture."""
        found = self._mesh.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).multi_face_landmarks or ()
        return [[[one.x, one.y, one.z] for one in face.landmark] for face in found]


def outlines(face: Points) -> list[list[float]]:
    """Points along the outlines of a face, its eyes, irises, brows and lips."""
    from mediapipe.python.solutions.face_mesh_connections import (  # noqa: PLC0415 - after `Mesh` has made it findable
        FACEMESH_CONTOURS,
        FACEMESH_IRISES,
    )

    lines = [(face[start], face[end]) for start, end in (*FACEMESH_CONTOURS, *FACEMESH_IRISES)]
    return [[a[0] + (b[0] - a[0]) * step / 3, a[1] + (b[1] - a[1]) * step / 3] for a, b in lines for step in range(3)]


def fitting(image: Any) -> Any:
    """The picture, made smaller if it is wider than what is needed."""
    height, width = image.shape[:2]
    if width <= WIDEST:
        return image
    return cv2.resize(image, (WIDEST, max(1, round(height * WIDEST / width))), interpolation=cv2.INTER_AREA)


def measured(points: Faces, image: Any) -> list[dict[str, float]]:
    """The measures of each face, rounded as far as they mean anything."""
    height, width = image.shape[:2]
    faces = [measure(face, width, height) for face in points]
    return [{name: round(value, 4) for name, value in face.items()} for face in faces]
