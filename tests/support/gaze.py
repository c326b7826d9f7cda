"""The engine of gaze_sensor in tests: whether it is there, and scenes drawn with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from services.runtime import extras
from tests.support.constellation import Running
from tests.support.required import lacking

ROOT = Path(__file__).resolve().parents[2]
PORTRAIT = ROOT / "tests" / "support" / "portrait" / "astronaut.jpg"
SCENES = ROOT / "tests" / "support" / "gaze_scenes.py"


def engine() -> Path:
    """The folder of the engine; without it the test is skipped, or fails in CI."""
    missing = extras.lacking("gaze")
    return extras.folder_of("gaze") if missing is None else lacking(f"{missing.reason}: {missing.hint}")


def draw_scenes(folder: Path) -> dict[str, Path]:
    """Every scene as a JPEG, by name, and the film."""
    command = [sys.executable, "-I", "-S", str(SCENES), str(engine()), str(PORTRAIT), str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {file.stem: file for file in sorted(folder.iterdir())}


def child_of(running: Running) -> int:
    """The process of a sensor that sees."""
    (child,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    return int(child)
