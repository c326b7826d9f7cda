"""The engine of gaze_sensor in its unit's sandbox: libraries that make threads, map memory and ask for processors."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest

from tests.support.gaze import draw_scenes, engine
from tests.support.installed import unit
from tests.support.required import lacking
from tests.support.systemd import PYTHON

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]
FILM = "/var/lib/ligand/gaze_sensor/film.avi"
CONFIG = "/etc/ligand/gaze_sensor.yaml"
PLACE = "/opt/ligand/venv/extras/gaze"


def minor() -> str:
    """The version of the Python that an installation is made with, as far as packages depend on it."""
    show = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    return subprocess.run([PYTHON, "-c", show], capture_output=True, text=True, check=True).stdout.strip()


def test_the_engine_sees_within_its_units_sandbox(ligand, tmp_path):
    """What works in a clone and not in the unit would leave every installed sensor blind."""
    there = engine()
    if minor() != f"{sys.version_info.major}.{sys.version_info.minor}":
        lacking(f"the engine here is not for {PYTHON}")
    would = ligand.ligand("install", "--system", "--with", "gaze", "--dry-run").stdout
    assert f"would install the engine of gaze_sensor into {PLACE}\n" in would
    machine, before = ligand.machine, ligand.machine.read(CONFIG)
    film = base64.b64encode(draw_scenes(tmp_path)["film"].read_bytes()).decode()
    machine.run("sh", "-c", 'base64 -d > "$0"', FILM, text=film)
    machine.write(CONFIG, f"camera: {FILM}\n")
    machine.run("mkdir", "-p", PLACE)
    machine.run("mount", "--bind", str(there), PLACE)
    try:
        machine.systemctl("restart", unit("gaze_sensor"))
        ended = f"{FILM} has ended"
        machine.until("the film is seen", lambda: ended in machine.show(unit("gaze_sensor"), "StatusText"), 120.0)
        told = [one["signal"] for one in ligand.signals("Q_ATTENTION_GAINED", "Q_ATTENTION_LOST")]
        assert told == ["Q_ATTENTION_GAINED", "Q_ATTENTION_LOST"]
    finally:
        machine.write(CONFIG, before)
        machine.run("umount", PLACE, check=False)
        machine.run("rmdir", PLACE, "/opt/ligand/venv/extras", check=False)
        machine.run("rm", "-f", FILM)
        machine.systemctl("restart", unit("gaze_sensor"))
