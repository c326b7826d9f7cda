"""The check for what a test leaves behind can fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.contracts.planting import plant

ROOT = Path(__file__).resolve().parents[2]

LEAKY = """
import pathlib, os, socket, subprocess, threading, time
import pytest

kept = []

def test_child():
    kept.append(subprocess.Popen(["sleep", "60"]))

def test_orphan():
    subprocess.run(["sh", "-c", "sleep 61 & true"], check=True)

def test_thread():
    go_on = threading.Event()
    kept.append(go_on)
    threading.Thread(target=go_on.wait, name="lingering").start()

def test_socket():
    kept.append(socket.socketpair())

def test_file():
    kept.append(open(__file__))

def test_unwaited():
    os.posix_spawn("/bin/true", ["true"], {})

@pytest.mark.may_leak("to show that it can be allowed")
def test_exempt():
    kept.append(socket.socketpair())

def test_tidy():
    subprocess.run(["true"], check=True)
    one, other = socket.socketpair()
    one.close(), other.close()
    thread = threading.Thread(target=time.monotonic)
    thread.start()
    thread.join()

@pytest.fixture(scope="module")
def shared():
    pair = socket.socketpair()
    yield pair
    pair[0].close(), pair[1].close()

def test_wider_scope(shared):
    pass

def test_release():
    kept[1].set()
"""
CONFTEST = "import tests.conftest\ntests.conftest.GRACE_S = 0.3\nfrom tests.conftest import nothing_left_behind\n"
OPTIONS = "[pytest]\nmarkers =\n    may_leak: x\naddopts = -p no:cacheprovider --tb=short -rA\n"


def test_each_kind_of_leak_fails_its_test(tmp_path: Path) -> None:
    """A leak that goes unseen makes another test fail, on another day, for no reason of its own."""
    plant(tmp_path, {"conftest.py": CONFTEST, "pytest.ini": OPTIONS, "test_leaky.py": LEAKY})
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q", "test_leaky.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    failed = {line.split("::")[1].split(" ")[0] for line in done.stdout.splitlines() if line.startswith("ERROR ")}
    assert failed == {f"test_{kind}" for kind in ("child", "orphan", "thread", "socket", "file", "unwaited")}, (
        done.stdout
    )
    for said in (
        ": sleep 60",
        ": sleep 61",
        "thread lingering",
        ": socket:[",
        "test_leaky.py",
        "nobody waited",
    ):
        assert said in done.stdout
