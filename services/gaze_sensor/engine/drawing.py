"""What was seen, drawn over the picture, for a person who asked for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from services.gaze_sensor.geometry import LEFT_EYE, RIGHT_EYE, Points

DOT, EYE, IRIS = (120, 220, 120), (60, 200, 255), (60, 60, 255)
LINE_PX = 20


def write(path: str, image: Any, faces: Sequence[Points], told: Mapping[str, Any]) -> bool:
    """Draw landmarks and score into a copy, and write it to `path` as PNG; whether that could be done."""
    drawn = image.copy()
    height, width = image.shape[:2]
    for face in faces:
        _face(drawn, [(round(x * width), round(y * height)) for x, y, _ in face])
    lines = [f"score {told['score']:.2f}", *(f"{name} {value:.2f}" for name, value in told["factors"].items())]
    for nth, text in enumerate(lines, start=1):
        for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(drawn, text, (8, LINE_PX * nth), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, thick, cv2.LINE_AA)
    try:
        Path(path).write_bytes(cv2.imencode(".png", drawn)[1])
    except OSError:
        return False
    return True


def _face(drawn: Any, points: list[tuple[int, int]]) -> None:
    for point in points[: RIGHT_EYE.iris]:
        cv2.circle(drawn, point, 1, DOT, -1)
    for eye in (RIGHT_EYE, LEFT_EYE):
        cv2.line(drawn, points[eye.corner], points[eye.far_corner], EYE, 1, cv2.LINE_AA)
        cv2.circle(drawn, points[eye.iris], 2, IRIS, -1, cv2.LINE_AA)
