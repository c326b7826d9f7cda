"""What makes a face unlike others: 128 numbers by dlib's recognition model, whose file is inside a package.

Faces of one person are near each other, by the Euclidean distance. Source: King, High Quality Face Recognition with
Deep Metric Learning, 2017.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.gaze_sensor.geometry import LEFT_EYE, NOSE_BASE, RIGHT_EYE, Points, Some

MODEL = Path("face_recognition_models", "models", "dlib_face_recognition_resnet_model_v1.dat")
MARKS = (LEFT_EYE.far_corner, LEFT_EYE.corner, RIGHT_EYE.corner, RIGHT_EYE.far_corner, NOSE_BASE)
"""The landmarks that the model's faces are upright by, in dlib's order: outer and inner corners, and below the nose."""
SIDE_PX, MARGIN = 150, 0.25


class Likeness:
    """Knows the features of faces; `folder` has the packages of the extra `face`."""

    def __init__(self, folder: str) -> None:
        sys.path.append(folder)
        import dlib  # noqa: PLC0415 - found only now, and only where somebody is enrolled

        self._dlib = dlib
        self._model = dlib.face_recognition_model_v1(str(Path(folder, MODEL)))

    def features(self, rgb: Any, face: Points | Some) -> list[float]:
        """The features of one face of an RGB picture, 128 numbers."""
        height, width = rgb.shape[:2]
        marks = [self._dlib.point(round(face[at][0] * width), round(face[at][1] * height)) for at in MARKS]
        whole = self._dlib.full_object_detection(self._dlib.rectangle(0, 0, width, height), marks)
        upright = self._dlib.get_face_chip(rgb, whole, SIDE_PX, MARGIN)
        return [round(value, 5) for value in self._model.compute_face_descriptor(upright)]


class Enrolled:
    """Tells the person who was enrolled from others: no further than `distance` from one of their features."""

    def __init__(self, likeness: Likeness, features: Sequence[Sequence[float]], distance: float) -> None:
        self._likeness = likeness
        self._features = np.array(features)
        self._distance = distance

    def is_it(self, rgb: Any, face: Points | Some) -> bool:
        """Whether this face is theirs."""
        apart = self._features - np.array(self._likeness.features(rgb, face))
        return bool(np.linalg.norm(apart, axis=1).min() <= self._distance)
