"""How far faces are apart by the features that `ligand gaze enrol` keeps; see `python -m tests.gaze --faces`.

Run by the engine's interpreter: `python -I -S gaze_faces.py EXTRA FACES SCENES FILE...`, with the folders of both
extras and of drawn scenes. A file is a picture, or a NumPy array of grey faces cut out closely,
[face][row][column], 0 to 1.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    services = ModuleType("services")
    services.__path__ = [str(Path(__file__).resolve().parents[2] / "services")]
    sys.modules["services"] = services

import cv2
import numpy as np

from services.gaze_sensor.engine.likeness import Likeness
from services.gaze_sensor.engine.mesh import Mesh, fitting

ENROLLED = "looking-straight"
SIDE_PX = 200
"""Of a face that is cut out closely, once it is enlarged; around it as much again of its own edge."""


class Measure:
    """Features of faces in pictures."""

    def __init__(self, faces: str) -> None:
        self._mesh, self._likeness = Mesh(), Likeness(faces)

    def features(self, image: Any) -> list[Any]:
        """Of each face in a picture."""
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return [np.array(self._likeness.features(rgb, face)) for face in self._mesh.points(image)]

    def file(self, path: str) -> list[Any]:
        """Of each face in a file."""
        if not path.endswith(".npy"):
            return self.features(fitting(cv2.imread(path)))
        return [one for face in np.load(path) for one in self.features(_framed(face))[:1]]


def _framed(face: Any) -> Any:
    large = cv2.resize((face * 255).astype(np.uint8), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    edge = [SIDE_PX // 2] * 4
    return cv2.cvtColor(cv2.copyMakeBorder(large, *edge, cv2.BORDER_REPLICATE), cv2.COLOR_GRAY2BGR)


def apart(one: Any, other: Any) -> float:
    """The distance that is compared with `face_distance`."""
    return float(np.linalg.norm(one - other))


def lines(faces: str, scenes: str, files: list[str]) -> Iterator[str]:
    """What is measured, a line each."""
    measure = Measure(faces)
    drawn = {path.stem: measure.features(fitting(cv2.imread(str(path)))) for path in sorted(Path(scenes).glob("*.jpg"))}
    (enrolled,) = drawn[ENROLLED]
    alone = {name: found[0] for name, found in drawn.items() if len(found) == 1}
    same = {name: apart(enrolled, one) for name, one in alone.items() if not name.startswith("other")}
    furthest = max(same, key=lambda name: same[name])
    yield f"{len(same)} scenes of the enrolled face: at most {same[furthest]:.2f} ({furthest})"
    yield f"another face made of the same portrait: {apart(enrolled, alone['other-straight']):.2f}"
    known = {"the portrait": [enrolled], **{Path(file).name: measure.file(file) for file in files}}
    for (one, its), (other, others) in itertools.combinations(known.items(), 2):
        found = sorted(apart(a, b) for a in its for b in others)
        yield f"{one} ({len(its)}) and {other} ({len(others)}): {found[0]:.2f} to {found[-1]:.2f}" if found else other
    for name, its in known.items():
        found = np.array([apart(a, b) for a, b in itertools.combinations(its, 2)])
        shares = ", ".join(f"{np.mean(found <= bound):.4f} within {bound}" for bound in (0.4, 0.5, 0.6))
        if len(found):
            yield f"{len(found)} pairs in {name}: {shares}"


if __name__ == "__main__":
    cv2.setNumThreads(1)
    for line in lines(sys.argv[2], sys.argv[3], sys.argv[4:]):
        print(line)
