"""Follows the face of the person who was enrolled, whoever else is there."""

from __future__ import annotations

from collections.abc import Sequence
from math import dist
from typing import Any

import cv2

from services.gaze_sensor.engine.landmarker import landmarker
from services.gaze_sensor.engine.likeness import Enrolled
from services.gaze_sensor.engine.mesh import NOSE, Mesh, around, followed, nothing_but
from services.gaze_sensor.engine.pace import Pace
from services.gaze_sensor.geometry import Faces

SURE_S, UNSURE_S, LEAST_S = 3.0, 2.0, 0.5
"""How long after a look the next one comes: at the one who is followed, at others, and at a face that is new."""
JUMP = 0.15
"""A nose that is so far from where it was a frame ago, in shares of the picture, is another one."""


class Chosen:
    """As `mesh.Tracker`, but of the faces only the enrolled one counts: of the others nobody is told.

    To look who somebody is costs as much as to follow them for a second, so it is done when a face comes, and from time
    to time.
    """

    def __init__(self, model: str, enrolled: Enrolled) -> None:
        self.seen = 0
        self._enrolled = enrolled
        self._mesh = landmarker(model, 1, still=False)
        self._all = Mesh(model)
        self._nose: Sequence[float] | None = None
        self._is_it = False
        self._is_new = True
        self._looked: float | None = None
        self._pace = Pace()
        self._told: Faces = []

    def points(self, image: Any, t: float) -> Faces:
        """The landmarks of the enrolled face in the frame at `t`, if it is there."""
        if self._pace.rests(t):
            return self._told
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        faces = followed(self._mesh, rgb, t)
        self._pace.note(t, faces)
        self._notice(faces)
        self.seen = max(len(faces), self.seen if faces else 0)
        if self._is_due(t):
            self._looked, self._is_new = t, False
            self._is_it = bool(faces) and self._enrolled.is_it(rgb, faces[0])
            if not self._is_it:
                faces = self._search(image, rgb, t)
        self._told = faces if self._is_it else []
        return self._told

    def _notice(self, faces: Faces) -> None:
        """Whether the face is still the one of the frame before."""
        nose = faces[0][NOSE][:2] if faces else None
        if nose is None or self._nose is None or dist(nose, self._nose) > JUMP:
            self._is_it, self._is_new = False, nose is not None
        self._nose = nose

    def _is_due(self, t: float) -> bool:
        wait_s = LEAST_S if self._is_new else SURE_S if self._is_it else UNSURE_S
        return self._looked is None or t - self._looked >= wait_s

    def _search(self, image: Any, rgb: Any, t: float) -> Faces:
        """The enrolled one among the others who are there; from now on it is followed."""
        found = self._all.points(image)
        self.seen = len(found)
        for face in found:
            is_other = self._nose is None or not around(face).holds(*self._nose)
            if is_other and self._enrolled.is_it(rgb, face):
                only = nothing_but(around(face), rgb)
                self._mesh.find(only, t)  # where it was there is no face now, so it looks for one in the next
                faces = followed(self._mesh, only, t)
                self._nose, self._is_it = (faces[0][NOSE][:2], True) if faces else (None, False)
                return faces
        return []
