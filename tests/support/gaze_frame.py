"""What MediaPipe's own face mesh takes for the frames of a camera: the yardstick of `python -m tests.gaze`.

Run by the engine's interpreter: `python -I -S gaze_frame.py EXTRA PICTURE FPS SECONDS`. Prints the share of one
core that reading the picture anew and finding the face in it took, at so many frames a second.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import ModuleType

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    services = ModuleType("services")
    services.__path__ = [str(Path(__file__).resolve().parents[2] / "services")]
    sys.modules["services"] = services

import cv2
import numpy as np

from services.gaze_sensor.engine.landmarker import make_findable

WARMING_S = 2.0


def share(picture: bytes, fps: float, seconds: float) -> float:
    """Of one core, once it has warmed up."""
    make_findable()
    from mediapipe.python.solutions.face_mesh import FaceMesh  # noqa: PLC0415 - once it can be found

    cv2.setNumThreads(1)
    mesh, bytes_ = FaceMesh(refine_landmarks=True), np.frombuffer(picture, np.uint8)
    began, used, due = time.monotonic(), 0.0, 0.0
    while (now := time.monotonic() - began) < WARMING_S + seconds:
        if now < WARMING_S:
            used = time.process_time()
        mesh.process(cv2.cvtColor(cv2.imdecode(bytes_, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))
        due += 1 / fps
        time.sleep(max(0.0, began + due - time.monotonic()))
    return (time.process_time() - used) / seconds


if __name__ == "__main__":
    sys.stdout.write(f"{share(Path(sys.argv[2]).read_bytes(), float(sys.argv[3]), float(sys.argv[4])):.3f}\n")
