"""A bundle of models that a person names in place of those inside the engine's package: MediaPipe's face landmarker.

Such a `.task` file is a ZIP archive without compression. Source: MediaPipe's documentation of its tasks.
"""

from __future__ import annotations

from zipfile import ZIP_STORED, BadZipFile, ZipFile

NEEDED = ("face_detector.tflite", "face_landmarks_detector.tflite")
HINT = (
    "set model in gaze_sensor.yaml to the file of MediaPipe's face landmarker, usually face_landmarker.task, "
    "or to nothing for the models that came with the engine"
)


def fault(model: str) -> str | None:
    """What is wrong with this file, as far as can be seen without the engine; None for no model, or a good one."""
    if not model:
        return None
    try:
        with ZipFile(model) as archive:
            members = {member.filename: member.compress_type for member in archive.infolist()}
    except FileNotFoundError:
        return f"the model {model} is not there"
    except BadZipFile:
        return f"the model {model} is no bundle of models, or only a part of one"
    except OSError as error:
        return f"the model {model} cannot be read: {error.strerror}"
    if lacking := [name for name in NEEDED if name not in members]:
        return f"the model {model} is not one of faces: it lacks {' and '.join(lacking)}"
    if any(members[name] != ZIP_STORED for name in NEEDED):
        return f"the model {model} is compressed, which the engine cannot read"
    return None
