"""A child that `ligand gaze` asks: patience with a slow one, and what is said of one that hangs or ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.gaze_sensor import asking
from services.gaze_sensor.cameras import Target
from services.gaze_sensor.settings import Seeing
from services.runtime.commands import Failure

SEEING = Seeing("/film.avi", model="/own.task", face="largest", face_distance=0.5, fps=15, stall_s=3)
LOOKS = """
import json, time
for nth in range(9):
    print(json.dumps({"t": nth / 10, "faces": []}), flush=True)
    time.sleep(0.1)
print('{"ended": "ended"}', flush=True)
"""


@pytest.fixture
def ask(monkeypatch):
    """Ask a child that is a script for frames of so many seconds; nobody has patience."""

    def asked(script: str, seconds: float) -> list[dict]:
        monkeypatch.setattr(asking, "command", lambda _: [sys.executable, "-c", script])
        monkeypatch.setattr(asking, "PATIENCE_S", 0.3)
        return list(asking.frames(Target(Path("/none"), SEEING, ("/film.avi",)), b"", seconds))

    return asked


def test_who_asks_for_a_minute_is_given_a_minute(ask):
    """Measuring for 60 seconds ended after 60 with the word that the engine was killed: the start of it counted too."""
    assert [one["t"] for one in ask(LOOKS, 60)] == [nth / 10 for nth in range(9)]


def test_a_child_that_hangs_is_said_to_hang(ask):
    """`ended by signal 9` sends a person to look for who killed it."""
    with pytest.raises(Failure, match="hangs"):
        ask("import time; time.sleep(60)", 0.1)


def test_what_a_child_said_of_its_end_is_told(ask):
    """An engine that is broken names the library that it lacks; without that nobody can mend it."""
    with pytest.raises(Failure, match=r"ended with status 3: .* without the model /own\.task.* it said: libgone\.so"):
        ask("import sys; print('libgone.so', file=sys.stderr); sys.exit(3)", 5)
