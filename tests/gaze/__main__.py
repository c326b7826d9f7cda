"""What gaze_sensor costs while it looks at a paced stream of 15 frames a second: `python -m tests.gaze [--seconds 30]`.

Prints shares of one core, and proportional memory, of the daemon and of the child that sees, and beside it what the
face mesh by itself takes for the same pictures right after: machines differ, and one from one minute to the next. With
`--faces [FILE...]` it measures instead how far faces are apart: those of the scenes, and of pictures that are given;
see `gaze_faces`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.commands import ligand
from tests.support.constellation import constellation, others
from tests.support.gaze import FACES, FRAME, child_of, draw_scenes, engine, recogniser
from tests.support.processes import Use
from tests.support.virtual_camera import FPS, virtual_camera

RESTLESS = "looking-straight+looking-leaning"
SHOWN = (
    ("looking-straight", "largest"),
    (RESTLESS, "largest"),
    ("looking-beside-one-who-does-not", "largest"),
    ("absent-wall", "largest"),
    ("looking-straight", "enrolled"),
    ("other-beside-one-who-looks", "enrolled"),
    ("other-straight", "enrolled"),
)
"""Scenes, and whose face counts in each; of two scenes each second frame shows the other."""


def measure(seconds: float, scene: str, face: str, scenes: Path, place: Path) -> None:
    """Look at one scene for so long, and print what that took."""
    pictures = [(scenes / f"{name}.jpg").read_bytes() for name in scene.split("+")]
    with constellation(place) as home, virtual_camera(*pictures) as camera:
        place.mkdir()
        if face == "enrolled":
            assert (
                ligand(place, "gaze", "enrol", "--seconds", "2.5", "--camera", str(scenes / "straight.avi")).code == 0
            )
        home.config("bus", {"disable": others("gaze_sensor")})
        home.config("gaze_sensor", {"camera": camera.url, "face": face})
        home.bus()
        running = home.daemon("gaze_sensor").ready()
        camera.wait_watched()
        time.sleep(5.0)  # until it has loaded its models, and found the pace
        pids = {"daemon": running.pid, "child": child_of(running)}
        before, began, sent = {name: Use.of(pid) for name, pid in pids.items()}, time.monotonic(), camera.sent
        time.sleep(seconds)
        took_s = time.monotonic() - began
        print(f"{scene}, face: {face}: {(camera.sent - sent) / took_s:.1f} of {FPS:g} frames a second")
        after = {name: Use.of(pid) for name, pid in pids.items()}
        for name, used in after.items():
            share = (used.cpu_s - before[name].cpu_s) / took_s
            print(f"  {name}: {share:.3f} of a core, {used.pss_kib / 1024:.0f} MiB, {used.threads} threads")


def beside(seconds: float, scene: str, scenes: Path) -> None:
    """Print what the yardstick takes for the frames of one scene."""
    command = [sys.executable, "-I", "-S", str(FRAME), str(engine()), str(scenes / f"{scene}.jpg"), f"{FPS:g}"]
    done = subprocess.run([*command, str(seconds)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    print(f"  beside MediaPipe's face mesh by itself: {done.stdout.decode().strip()} of a core")


def compare(folder: Path, files: list[str]) -> None:
    """Print how far faces are apart."""
    draw_scenes(folder)
    command = [sys.executable, "-I", "-S", str(FACES), str(engine()), str(recogniser()), str(folder), *files]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--faces", nargs="*", metavar="FILE")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if given.faces is not None:
            compare(Path(place), given.faces)
            sys.exit()
        drawn = Path(place, "scenes")
        drawn.mkdir()
        draw_scenes(drawn)
        for nth, (shown, whose) in enumerate(SHOWN):
            measure(given.seconds, shown, whose, drawn, Path(place, str(nth)))
            beside(given.seconds, shown.partition("+")[0], drawn)
