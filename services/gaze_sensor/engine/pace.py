"""Which frames are looked at, so that what changes nothing costs little."""

from __future__ import annotations

from math import dist

from services.gaze_sensor.geometry import LEFT_CHEEK, RIGHT_CHEEK, USED, Faces

DESERTED_S, DESERTED_REST_S = 1.0, 0.16
"""When nobody has been there for so long, it rests for so long after each look."""
CALM_S, CALM_REST_S = 0.5, 0.1
"""The same when a face has been calm for so long: at 15 frames a second every other one is looked at."""
CALM = 0.04
"""How far landmarks of a calm face move from one look to the next, in widths of the face. The noise of a dark camera
moves them by half of that, and closing the eyes by more.
"""


class Pace:
    """Lets fewer frames be looked at when nobody has been there for a while, or a face does not move."""

    def __init__(self) -> None:
        self.last: Faces = []
        """What was seen last."""
        self._since: float | None = None
        self._until = 0.0

    def rests(self, t: float) -> bool:
        """Whether the frame at `t` is left out; `last` is taken to hold."""
        return t < self._until

    def note(self, t: float, faces: Faces) -> None:
        """Take in what was seen in the frame at `t`."""
        if self._since is None or _differ(faces, self.last):
            self._since = t
        self.last = faces
        after_s, rest_s = (CALM_S, CALM_REST_S) if faces else (DESERTED_S, DESERTED_REST_S)
        if t - self._since >= after_s:
            self._until = t + rest_s


def _differ(faces: Faces, before: Faces) -> bool:
    """Whether there is another number of faces, or the first has moved."""
    if not faces or not before:
        return len(faces) != len(before)
    face, was = faces[0], before[0]
    most = CALM * dist(face[RIGHT_CHEEK][:2], face[LEFT_CHEEK][:2])
    return any(dist(face[at][:2], was[at][:2]) > most for at in USED)
