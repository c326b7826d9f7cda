"""Without an engine or a camera. If this fails, a bare machine is noisy, or needs a restart when a camera is bought."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from services.runtime.extras import folder_of
from tests.support.constellation import ROOT, constellation, others
from tests.support.gaze import child_of, engine
from tests.support.resting import WATCHED, resting
from tests.support.virtual_camera import virtual_camera

pytestmark = [pytest.mark.xdist_group("senses")]

BECOME = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"


@pytest.fixture
def bare(tmp_path) -> Path:
    """A Python with all that Ligand needs and no engine."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "ligand.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    return Path(folder)


def test_what_is_missing_is_said_once_and_recovery_needs_no_restart(bare, scenes, tmp_path):
    """A person without a camera is told once, not every minute nor at every start, and may install the engine later."""
    with constellation(tmp_path / "home") as home, virtual_camera(scenes["looking-straight"].read_bytes()) as camera:
        home.home.mkdir()
        home.config("bus", {"disable": others("gaze_sensor")})
        home.config("gaze_sensor", {"camera": "/dev/video99"})
        home.bus()
        start = (BECOME, str(bare / "bin" / "python"), "-m", "services.gaze_sensor")
        first = home.start("gaze_sensor", "-c", *start).ready()
        (degraded,) = home.wait_for("Q_SENSOR_DEGRADED", 1)
        assert degraded.facts["reason"] == "the engine that finds faces is not installed"
        assert "ligand install --with gaze" in degraded.facts["hint"]
        for nth in range(1, 4):  # each makes it look at once
            first.signal(signal.SIGHUP)
            home.wait_for("Q_CONFIGURATION_RELOADED", nth)
        first.kill()
        running = home.start("gaze_sensor", "-c", *start, env=WATCHED).ready()
        running.signal(signal.SIGHUP)
        home.wait_for("Q_CONFIGURATION_RELOADED", 4)
        assert len(home.signals("Q_SENSOR_DEGRADED")) == 1
        assert not Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text()

        there = folder_of("gaze", bare)
        there.parent.mkdir()
        there.symlink_to(engine())
        home.wait_for("Q_SENSOR_DEGRADED", 2)  # it has an engine, but now it lacks the camera
        assert "video99 is not there" in home.signals("Q_SENSOR_DEGRADED")[1].facts["reason"]
        rest = resting(running)
        assert rest.share < 0.1, rest
        assert rest.children == 0, rest
        assert rest.wakes_per_s < 50, rest
        home.config("gaze_sensor", {"camera": camera.url, "stall_s": 1})
        running.signal(signal.SIGHUP)
        home.wait_for("Q_SENSOR_RECOVERED", 1)
        home.wait_for("Q_ATTENTION_GAINED", 1)

        os.kill(child_of(running), signal.SIGSTOP)
        rest = resting(running)
        assert rest.share < 0.2, rest
        assert rest.wakes_per_s < 50, rest
        assert "hangs" in home.wait_for("Q_SENSOR_DEGRADED", 3)[2].facts["reason"]
        home.wait_for("Q_SENSOR_RECOVERED", 2)
        home.wait_for("Q_ATTENTION_GAINED", 2)

        running.kill()  # while somebody attends
        home.config("gaze_sensor", {"enabled": False})
        last = home.start("gaze_sensor", "-c", *start).ready()
        lost = home.wait_for("Q_ATTENTION_LOST", 2)[1].facts
        assert (lost["score"], "duration_s" in lost) == (0, False)
        last.signal(signal.SIGTERM)
        assert last.process.wait(60) == 0
        assert not home.dead()


@pytest.mark.skipif(os.path.exists("/dev/video0"), reason="this machine has a camera")
def test_the_commands_say_what_is_missing(tmp_path):
    """`ligand gaze preview` on a machine without a camera must not end in a traceback."""
    engine()
    environ = {**os.environ, "LIGAND_HOME": str(tmp_path)}
    asked = [sys.executable, "-m", "tools.ligand", "gaze", "preview"]
    done = subprocess.run(asked, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no camera was found: plug one in" in done.stderr
