"""The engine of gaze_sensor in tests: whether it is there, and scenes drawn with it."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from services.runtime import extras
from tests.support.constellation import Running
from tests.support.required import lacking

ROOT = Path(__file__).resolve().parents[2]
PORTRAIT = ROOT / "tests" / "support" / "portrait" / "astronaut.jpg"
SCENES = ROOT / "tests" / "support" / "gaze_scenes.py"
FRAME = ROOT / "tests" / "support" / "gaze_frame.py"
FACES = ROOT / "tests" / "support" / "gaze_faces.py"
BUNDLE = ROOT / "tests" / "support" / "gaze_task.py"


def engine() -> Path:
    """The folder of the engine; without it the test is skipped, or fails in CI."""
    missing = extras.lacking("gaze")
    return extras.folder_of("gaze") if missing is None else lacking(f"{missing.reason}: {missing.hint}")


def recogniser() -> Path:
    """The folder of what tells faces apart; as above without it."""
    missing = extras.lacking("face")
    return extras.folder_of("face") if missing is None else lacking(f"{missing.reason}: {missing.hint}")


def draw_scenes(folder: Path) -> dict[str, Path]:
    """Every scene as a JPEG, by name, the films, and two bundles of models: of faces, and one that is wrong."""
    flatbuffers = find_spec("flatbuffers")
    assert flatbuffers is not None
    assert flatbuffers.origin is not None
    with _start(SCENES, engine(), PORTRAIT, folder) as drawing:
        with _start(BUNDLE, engine(), Path(flatbuffers.origin).parents[1], folder) as making:
            _end(making)
        _end(drawing)  # by the end of its standard input it knows that the bundles are there
    return {file.stem: file for file in sorted(folder.iterdir())}


def _start(script: Path, *arguments: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-I", "-S", str(script), *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, text=True)


def _end(process: subprocess.Popen[str]) -> None:
    _, said = process.communicate()
    assert process.returncode == 0, said


def child_of(running: Running) -> int:
    """The process of a sensor that sees."""
    (child,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    return int(child)
