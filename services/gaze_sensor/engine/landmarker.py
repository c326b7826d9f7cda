"""What finds the landmarks of faces: MediaPipe's face mesh, with the models inside its package, or a named bundle."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

SHALLOW = (
    "mediapipe",
    "mediapipe.python",
    "mediapipe.python.solutions",
    "mediapipe.tasks",
    "mediapipe.tasks.python",
    "mediapipe.tasks.python.vision",
)
GRAPH = "modules/face_landmark/face_landmark_front_cpu.binarypb"
"""Of MediaPipe's package."""
Found = Sequence[Sequence[Any]]
"""[face][landmark], each with x, y, z as in `geometry`."""


class BadModel(Exception):
    """MediaPipe cannot use a bundle; the message is its own."""


class Landmarker(Protocol):
    """Finds faces in RGB pictures."""

    def find(self, rgb: Any, t: float) -> Found:
        """The landmarks of each face in the picture of `t`; `t` does not matter for one that finds in stills."""


def make_findable() -> None:
    """Let parts of MediaPipe be imported without its `__init__`s, which load all it can do, and matplotlib for it."""
    if "mediapipe" in sys.modules:
        return
    spec = find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("mediapipe is not in the folder of the engine")
    for name in SHALLOW:
        module = ModuleType(name)
        module.__path__ = [str(Path(spec.origin).parent.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module


def landmarker(model: str, faces: int, *, still: bool) -> Landmarker:
    """One that finds at most so many faces, in stills or in frames that follow each other. Raises `BadModel`."""
    make_findable()
    return _Bundled(model, faces, still=still) if model else _BuiltIn(faces, still=still)


class _BuiltIn:
    def __init__(self, faces: int, *, still: bool) -> None:
        from mediapipe.python.solution_base import SolutionBase  # noqa: PLC0415 - slow, and only once a frame came

        wanted = {"num_faces": faces, "with_attention": True, "use_prev_landmarks": not still}
        self._mesh = SolutionBase(graph_config=_graph(), side_inputs=wanted, outputs=["multi_face_landmarks"])

    def find(self, rgb: Any, t: float) -> Found:
        return [face.landmark for face in self._mesh.process(rgb).multi_face_landmarks or ()]


def _graph() -> Any:
    """That of MediaPipe's `FaceMesh`, run by the thread that asks: handing each step to others took a tenth of it."""
    from mediapipe.framework.calculator_pb2 import CalculatorGraphConfig  # noqa: PLC0415 - as above
    from mediapipe.python.solutions import face_mesh  # noqa: F401, PLC0415 - its imports are the graph's options

    config = CalculatorGraphConfig()
    config.ParseFromString((Path(sys.modules["mediapipe"].__path__[0]) / GRAPH).read_bytes())
    config.executor.add().type = "ApplicationThreadExecutor"
    return config


class _Bundled:
    def __init__(self, model: str, faces: int, *, still: bool) -> None:
        from mediapipe.python._framework_bindings import image, image_frame  # noqa: PLC0415 - as above
        from mediapipe.tasks.python.core.base_options import BaseOptions  # noqa: PLC0415
        from mediapipe.tasks.python.vision import face_landmarker  # noqa: PLC0415
        from mediapipe.tasks.python.vision.core import vision_task_running_mode  # noqa: PLC0415

        modes = vision_task_running_mode.VisionTaskRunningMode
        self._still = still
        self._last_ms = -1
        self._image: Callable[[Any], Any] = partial(image.Image, image_frame.ImageFormat.SRGB)
        options = face_landmarker.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=model),
            running_mode=modes.IMAGE if still else modes.VIDEO,
            num_faces=faces,
        )
        try:
            self._task = face_landmarker.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise BadModel(_line(error)) from error

    def find(self, rgb: Any, t: float) -> Found:
        try:
            if self._still:
                return list(self._task.detect(self._image(rgb)).face_landmarks)
            self._last_ms = max(self._last_ms + 1, round(1000 * t))  # it takes no frame that is not later
            return list(self._task.detect_for_video(self._image(rgb), self._last_ms).face_landmarks)
        except (RuntimeError, ValueError) as error:  # models with other inputs or outputs, found out at the first face
            raise BadModel(_line(error)) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[-200:]
