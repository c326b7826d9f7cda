"""One person among others. If this fails, somebody else speaks in their name, or they are not heard beside a guest."""

from __future__ import annotations

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.gaze_sensor import enrolment
from signals.envelope import decode
from signals.live import Subscription
from tests.support.constellation import ROOT, Constellation, constellation, others
from tests.support.gaze import recogniser
from tests.support.virtual_camera import virtual_camera

pytestmark = [pytest.mark.xdist_group("senses")]


def ligand(home: Constellation, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.ligand", "gaze", *arguments, "--home", str(home.home)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_only_the_enrolled_one_counts_until_they_are_forgotten(scenes, tmp_path):
    """A guest who looks here is not heard, whoever is nearer; and what was learnt can be taken back at once."""
    recogniser()
    with constellation(tmp_path) as home, virtual_camera(scenes["other-straight"].read_bytes()) as camera:
        config = {"camera": camera.url, "face": "enrolled"}
        home.config("bus", {"disable": others("gaze_sensor")})
        home.config("gaze_sensor", config)
        with ThreadPoolExecutor(1) as beside:
            refusing = beside.submit(ligand, home, "enrol", "--seconds", "2", "--camera", str(scenes["two"]))
            home.bus()
            running = home.daemon("gaze_sensor").ready()
            (nobody,) = home.wait_for("Q_SENSOR_DEGRADED", 1)
            assert nobody.facts["reason"] == "no face is enrolled"
            learn = ("enrol", "--seconds", "2.5", "--camera", str(scenes["straight"]))
            done = ligand(home, *learn)
        refused = refusing.result()
        assert (refused.returncode, "2 faces were seen" in refused.stderr) == (2, True)
        assert done.returncode == 0, done.stderr
        folder = home.paths.state_of("gaze_sensor")
        file = folder / enrolment.FILE
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert str(file) in done.stdout
        assert [one.name for one in folder.iterdir() if one.suffix in (".jpg", ".png")] == []

        home.wait_for("Q_SENSOR_RECOVERED", 1)  # nothing was restarted
        with Subscription(home.paths.mirror_socket, ("Q_ATTENTION_SCORE",)) as mirror:
            for _ in range(3):
                heard = mirror.next(60.0)
                assert heard is not None
                facts = decode(heard.raw).facts
        assert (facts["faces"], facts["score"]) == (1, 0)  # somebody is there and looks here, and is not the one
        camera.picture = scenes["other-beside-one-who-looks"].read_bytes()
        home.wait_for("Q_ATTENTION_GAINED", 1)

        file.write_text("{}")
        home.wait_for("Q_ATTENTION_LOST", 1)
        assert home.wait_for("Q_SENSOR_DEGRADED", 2)[1].facts["reason"] == f"the enrolled face in {file} is damaged"
        assert ligand(home, *learn).returncode == 0
        home.wait_for("Q_ATTENTION_GAINED", 2)
        forgotten = ligand(home, "forget")
        assert (forgotten.returncode, list(folder.iterdir())) == (0, [])
        home.wait_for("Q_ATTENTION_LOST", 2)  # while they look here, and nobody has reloaded anything
        assert home.wait_for("Q_SENSOR_DEGRADED", 3)[2].facts["reason"] == "no face is enrolled"
        assert running.stop() == 0
