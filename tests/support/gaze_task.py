"""A bundle as MediaPipe's tasks take it, made of the models inside its package, since no other can be had here.

Run by the engine's interpreter: `python -I -S gaze_task.py EXTRA PACKAGES FOLDER`, where PACKAGES has flatbuffers. It
writes `face_landmarker.task`, `other.task` with a model of other outputs, and `broken.task` that gives no number for an
iris.

The package's model of landmarks gives a mesh, and better eyes and irises beside it; those of a bundle give all in one.
Two operators at its end put them together, as the graph around it does in the package: landmarks of the eyes' outlines
and irises come from the better ones. What lips it finds is left out, since nothing here asks for them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

EXTRA, PACKAGES, FOLDER = sys.argv[1:] if __name__ == "__main__" else ("", "", "")
if __name__ == "__main__":
    sys.path[:0] = [EXTRA]
    sys.path.append(PACKAGES)
    for name in ("mediapipe", "mediapipe.tasks", "mediapipe.tasks.python"):
        module = ModuleType(name)  # its own __init__ loads all it can do
        module.__path__ = [str(Path(EXTRA, *name.split(".")))]
        sys.modules[name] = module

import flatbuffers  # noqa: E402 - found only now
import numpy as np  # noqa: E402
from mediapipe.tasks.metadata import schema_py_generated as schema  # noqa: E402
from mediapipe.tasks.python.metadata.metadata_writers import metadata_writer  # noqa: E402
from mediapipe.tasks.python.metadata.metadata_writers.model_asset_bundle_utils import (  # noqa: E402
    create_model_asset_bundle,
)

MODELS = Path(EXTRA, "mediapipe", "modules")
MESH, ALL = 468, 478
OUTLINES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398),
)
"""Of both eyes, in the order in which the model gives them first."""
MIDDLES = (159, 386)
"""Landmarks whose depth is taken for the irises', for which the model has none."""


def order(starts: list[int]) -> Any:
    """Where each of the coordinates of all landmarks stands in the outputs put in a row: mesh, lips, eyes, irises."""
    found = np.arange(3 * ALL)
    for eye, outline in enumerate(OUTLINES):
        better = [(at, starts[2 + eye] + 2 * nth) for nth, at in enumerate(outline)]
        iris = [(MESH + 5 * eye + nth, starts[4 + eye] + 2 * nth) for nth in range(5)]
        for at, source in (*better, *iris):
            found[3 * at : 3 * at + 2] = source, source + 1
        found[3 * (MESH + 5 * eye) + 2 : 3 * (MESH + 5 * eye + 5) : 3] = 3 * MIDDLES[eye] + 2
    return found.astype(np.int32)


class Model:
    """A TensorFlow Lite model that is taken apart."""

    def __init__(self, file: Path) -> None:
        self.whole = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(file.read_bytes()), 0))
        self.whole.metadata = None
        self.graph = self.whole.subgraphs[0]

    def tensor(self, name: str, shape: tuple[int, ...], constant: Any = None) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.buffer = name.encode(), np.array(shape, np.int32), 0
        if constant is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(constant.tobytes(), np.uint8)
            self.whole.buffers.append(buffer)
            made.type = schema.TensorType.INT32 if constant.dtype == np.int32 else schema.TensorType.FLOAT32
            made.buffer = len(self.whole.buffers) - 1
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def operator(self, name: str, inputs: list[int], output: int, options: Any) -> None:
        code, made = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = 1
        self.whole.operatorCodes.append(code)
        made.opcodeIndex = len(self.whole.operatorCodes) - 1
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        options.axis, made.builtinOptions = 3, options
        self.graph.operators.append(made)

    def packed(self) -> bytes:
        builder = flatbuffers.Builder(1 << 22)
        builder.Finish(self.whole.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def in_one(file: Path, *, broken: bool = False) -> bytes:
    """The model with all landmarks in one output, and whether there is a face in the other."""
    model = Model(file)
    *parts, presence = list(model.graph.outputs)
    if broken:
        parts[-1] = model.tensor("nothing", (1, 1, 1, 10), np.full(10, np.nan, np.float32))
    starts = np.cumsum([0, *(np.prod(model.graph.tensors[part].shape) for part in parts)]).tolist()
    row = model.tensor("row", (1, 1, 1, starts[-1]))
    model.operator("CONCATENATION", parts, row, schema.ConcatenationOptionsT())
    landmarks = model.tensor("landmarks", (1, 1, 1, 3 * ALL))
    places = model.tensor("order", (3 * ALL,), order(starts))
    model.operator("GATHER", [row, places], landmarks, schema.GatherOptionsT())
    model.graph.outputs = np.array([landmarks, presence], np.int32)
    return model.packed()


def described(model: bytes, mean: float, deviation: float) -> bytes:
    """The model with what its input is: pictures whose values are brought to another range."""
    writer = metadata_writer.MetadataWriter(bytearray(model))
    writer.add_general_info("of faces", "made for a test")
    writer.add_image_input([mean], [deviation])
    return bytes(writer.populate()[0])


if __name__ == "__main__":
    detector = (MODELS / "face_detection" / "face_detection_short_range.tflite").read_bytes()
    landmarks = MODELS / "face_landmark" / "face_landmark_with_attention.tflite"
    models = {
        "face_landmarker": in_one(landmarks),
        "other": landmarks.read_bytes(),
        "broken": in_one(landmarks, broken=True),
    }
    for name, model in models.items():
        members = {
            "face_detector.tflite": described(detector, 127.5, 127.5),
            "face_landmarks_detector.tflite": described(model, 0.0, 255.0),
        }
        create_model_asset_bundle(members, f"{FOLDER}/{name}.task")
