"""What gaze_sensor costs while it looks at a paced stream of 15 frames a second: `python -m tests.gaze [--seconds 30]`.

Prints shares of one core, and proportional memory, of the daemon and of the child that sees.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.support.constellation import constellation, others
from tests.support.gaze import child_of, draw_scenes
from tests.support.processes import Use
from tests.support.virtual_camera import FPS, virtual_camera


def measure(seconds: float, scene: str, folder: Path) -> None:
    """Look at one scene for so long, and print what that took."""
    scenes = folder / "scenes"
    if not scenes.is_dir():
        scenes.mkdir()
        draw_scenes(scenes)
    picture = (scenes / f"{scene}.jpg").read_bytes()
    with constellation(folder / scene) as home, virtual_camera(picture) as camera:
        home.home.mkdir()
        home.config("bus", {"disable": others("gaze_sensor")})
        home.config("gaze_sensor", {"camera": camera.url})
        home.bus()
        running = home.daemon("gaze_sensor").ready()
        camera.wait_watched()
        time.sleep(5.0)  # until it has loaded its models, and found the pace
        pids = {"daemon": running.pid, "child": child_of(running)}
        before, began, sent = {name: Use.of(pid) for name, pid in pids.items()}, time.monotonic(), camera.sent
        time.sleep(seconds)
        took_s = time.monotonic() - began
        print(f"{scene}: {(camera.sent - sent) / took_s:.1f} of {FPS:g} frames a second")
        for name, pid in pids.items():
            used = Use.of(pid)
            share = (used.cpu_s - before[name].cpu_s) / took_s
            print(f"  {name}: {share:.3f} of a core, {used.pss_kib / 1024:.0f} MiB, {used.threads} threads")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for shown in ("looking-straight", "looking-beside-one-who-does-not", "absent-wall"):
            measure(given.seconds, shown, Path(place))
