"""The engines of gaze_sensor in its unit's sandbox: libraries that make threads, map memory and ask for processors."""

from __future__ import annotations

import base64
import re

import pytest

from tests.support.gaze import draw_scenes, engine, recogniser
from tests.support.installed import needs_same_python, unit

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]
FILM = "/var/lib/ligand/gaze_sensor/film.avi"
ROOTS = "/var/lib/ligand/root/film.avi"
CONFIG = "/etc/ligand/gaze_sensor.yaml"
EXTRAS = "/opt/ligand/venv/extras"
LIGAND = "/opt/ligand/venv/bin/ligand"
ENROLLED = "/var/lib/ligand/gaze_sensor/enrolled.json"


def test_the_engine_sees_within_its_units_sandbox(ligand, tmp_path):
    """What works in a clone and not in the unit would leave every installed sensor blind."""
    extras = {"gaze": engine(), "face": recogniser()}
    needs_same_python("gaze")
    would = ligand.ligand("install", "--system", "--with", "gaze", "--dry-run").stdout
    assert re.search(r"would install the extra gaze into /opt/ligand/versions/\d+/extras/gaze\n", would)
    machine, before = ligand.machine, ligand.machine.read(CONFIG)
    film = base64.b64encode(draw_scenes(tmp_path)["film"].read_bytes()).decode()
    machine.run("sh", "-c", 'base64 -d > "$0"', FILM, text=film)
    machine.write(CONFIG, f"camera: {FILM}\nface: enrolled\n")
    for name, folder in extras.items():
        machine.run("mkdir", "-p", f"{EXTRAS}/{name}")
        machine.run("mount", "--bind", str(folder), f"{EXTRAS}/{name}")
    try:
        machine.run("install", "-D", "-m", "600", FILM, ROOTS)
        refused = machine.run(LIGAND, "gaze", "enrol", "--camera", ROOTS, check=False)
        assert "gives no picture" in refused.stderr, "what decodes pictures ran as root"
        machine.run(LIGAND, "gaze", "enrol", "--camera", FILM, "--seconds", "6")  # as root, for the daemon's user
        assert machine.out("stat", "-c", "%U %a", ENROLLED).strip() == "ligand-gaze-sensor 600"
        machine.systemctl("restart", unit("gaze_sensor"))
        ended = f"{FILM} has ended"
        machine.until("the film is seen", lambda: ended in machine.show(unit("gaze_sensor"), "StatusText"), 120.0)
        told = [one["signal"] for one in ligand.signals("Q_ATTENTION_GAINED", "Q_ATTENTION_LOST")]
        assert told == ["Q_ATTENTION_GAINED", "Q_ATTENTION_LOST"]
    finally:
        machine.write(CONFIG, before)
        machine.systemctl("stop", unit("gaze_sensor"))  # it has the libraries mapped
        for name in extras:
            machine.run("umount", f"{EXTRAS}/{name}", check=False)
            machine.run("rmdir", f"{EXTRAS}/{name}", check=False)
        machine.run("rmdir", EXTRAS, check=False)
        machine.run(LIGAND, "gaze", "forget")
        machine.run("rm", "-f", FILM, ROOTS)
        machine.run("rmdir", ROOTS.rpartition("/")[0])
        machine.systemctl("start", unit("gaze_sensor"))
