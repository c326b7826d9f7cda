"""A bundle of models that a person names in place of those inside the engine's package: MediaPipe's face landmarker.

Such a `.task` file is a ZIP archive without compression. Source: MediaPipe's documentation of its tasks.
"""

from __future__ import annotations

from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from signals.files import open_regular

NEEDED = ("face_detector.tflite", "face_landmarks_detector.tflite")
HINT = (
    "set model in gaze_sensor.yaml to the file of MediaPipe's face landmarker, usually face_landmarker.task, "
    "or to nothing for the models that came with the engine"
)


def stamp(model: str) -> int:
    """When the file was written; 0 for no model, or one that is not there."""
    try:
        return Path(model).stat().st_mtime_ns if model else 0
    except OSError:
        return 0


def fault(model: str) -> str | None:
    """What is wrong with this file, as far as can be seen without the engine; None for no model, or a good one."""
    if not model:
        return None
    try:
        with open_regular(Path(model)) as file, ZipFile(file) as archive:
            members = {member.filename: member.compress_type for member in archive.infolist()}
    except FileNotFoundError:
        return f"the model {model} is not there"
    except OSError as error:
        return f"the model {model} cannot be read: {error.strerror}"
    except (BadZipFile, NotImplementedError, ValueError, OverflowError):  # damaged, in each way that zipfile tells it
        return f"the model {model} is no bundle of models, or only a part of one"
    if lacking := [name for name in NEEDED if name not in members]:
        return f"the model {model} is not one of faces: it lacks {' and '.join(lacking)}"
    if any(members[name] != ZIP_STORED for name in NEEDED):
        return f"the model {model} is compressed, which the engine cannot read"
    return None
