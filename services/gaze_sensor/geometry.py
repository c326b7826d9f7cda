"""What the landmarks of one face say: where it is, where it is turned, how open the eyes are, where they look.

Landmarks are MediaPipe's 478 of a face mesh with irises, each (x, y, z) in shares of the picture's width, height and
width; z grows away from the camera. "Left" and "right" are the person's; x grows to the right of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from math import atan2, degrees, dist, hypot
from typing import NamedTuple

WIDTH_PX = 640
"""Sizes are told as in a picture so wide, whatever the camera gives."""
Points = Sequence[Sequence[float]]
"""All landmarks of a face."""
Some = Mapping[int, Sequence[float]]
"""Some of them, by number."""
Faces = Sequence[Points | Some]
"""[face][landmark][x, y, z]."""
FOREHEAD, CHIN, RIGHT_CHEEK, LEFT_CHEEK, NOSE_BASE = 10, 152, 234, 454, 2


class Eye(NamedTuple):
    """Landmarks of one eye: its corners from left to right in the picture, two pairs of lids, the iris's centre."""

    corner: int
    far_corner: int
    lids: tuple[tuple[int, int], tuple[int, int]]
    iris: int


RIGHT_EYE = Eye(33, 133, ((160, 144), (158, 153)), 468)
LEFT_EYE = Eye(362, 263, ((385, 380), (387, 373)), 473)
USED = (
    *(FOREHEAD, CHIN, RIGHT_CHEEK, LEFT_CHEEK),
    *(at for eye in (RIGHT_EYE, LEFT_EYE) for at in (eye.corner, eye.far_corner, *chain(*eye.lids), eye.iris)),
)
"""The landmarks that are measured by."""


def measure(points: Points | Some, width: int, height: int) -> dict[str, float]:
    """The measures of one face in a picture of `width` by `height` pixels; `logic.Face` says what each is."""
    pixels = {at: (points[at][0] * width, points[at][1] * height, points[at][2] * width) for at in USED}
    across = _vector(pixels[RIGHT_CHEEK], pixels[LEFT_CHEEK])
    down = _vector(pixels[FOREHEAD], pixels[CHIN])
    looks = [_iris(pixels, eye) for eye in (RIGHT_EYE, LEFT_EYE)]
    return {
        "x": (points[RIGHT_CHEEK][0] + points[LEFT_CHEEK][0]) / 2,
        "y": (points[FOREHEAD][1] + points[CHIN][1]) / 2,
        "size_px": hypot(*across) * WIDTH_PX / width,
        "yaw_deg": degrees(atan2(across[2], hypot(across[0], across[1]))),
        "pitch_deg": degrees(atan2(down[2], hypot(down[0], down[1]))),
        "eye_opening": sum(_opening(pixels, eye) for eye in (RIGHT_EYE, LEFT_EYE)) / 2,
        "gaze_x": sum(x for x, _ in looks) / 2,
        "gaze_y": sum(y for _, y in looks) / 2,
    }


def _vector(start: Sequence[float], end: Sequence[float]) -> tuple[float, float, float]:
    return end[0] - start[0], end[1] - start[1], end[2] - start[2]


def _opening(pixels: Some, eye: Eye) -> float:
    """The eye aspect ratio, in pixels: the mean distance of the lids by that of the corners.

    Source: Soukupová and Čech, Real-Time Eye Blink Detection using Facial Landmarks, 2016.
    """
    lids = sum(dist(pixels[upper][:2], pixels[lower][:2]) for upper, lower in eye.lids) / len(eye.lids)
    return lids / max(dist(pixels[eye.corner][:2], pixels[eye.far_corner][:2]), 1e-6)


def _iris(pixels: Some, eye: Eye) -> tuple[float, float]:
    """Where the iris is between this eye's own corners: (0, 0) in their middle, (1, 0) at the right one in the picture.

    The second is across the line of the corners, in the same unit, half of their distance; it grows downwards.
    """
    (x0, y0, _), (x1, y1, _), (x, y, _) = pixels[eye.corner], pixels[eye.far_corner], pixels[eye.iris]
    half = max(dist((x0, y0), (x1, y1)) / 2, 1e-6)
    ux, uy = (x1 - x0) / 2 / half, (y1 - y0) / 2 / half
    dx, dy = x - (x0 + x1) / 2, y - (y0 + y1) / 2
    return (dx * ux + dy * uy) / half, (dy * ux - dx * uy) / half
