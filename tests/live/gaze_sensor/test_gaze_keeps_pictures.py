"""Pictures stay where they are taken. If this fails, somebody's face is on a disk, or on the network."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.gaze_sensor import enrolment
from signals.paths import Paths
from tests.support.constellation import ROOT, constellation, others
from tests.support.gaze import recogniser
from tests.support.required import program
from tests.support.virtual_camera import VirtualCamera, virtual_camera

pytestmark = [pytest.mark.xdist_group("senses")]

CALLS = (
    "open,openat,openat2,creat,mknod,mknodat,mkdir,mkdirat,link,linkat,symlink,symlinkat,rename,renameat,renameat2,"
    "truncate,ftruncate,memfd_create,connect,bind,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,sendfile,"
    "splice,tee,vmsplice,copy_file_range,io_uring_setup,process_vm_writev,shmget,msgsnd"
)
OUT = {"write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice", "vmsplice", "pwrite64", "pwritev"}
LINE = re.compile(r"^(\w+)\((.*)\) += (-?\d+)(.*)")
STRACE = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
LEAST_PICTURE = 3000
"""Bytes: no JPEG of a face in 640 by 480 is smaller."""
FEATURES = re.compile(r'\d+, "\{\\"(task|features)\\"')
"""What a child is told to do, and what is kept: the numbers of a face that was learnt are as long as a picture."""


@dataclass(frozen=True)
class Call:
    name: str
    arguments: str
    result: int


def calls(folder: Path) -> Iterator[Call]:
    """What every traced process has asked the kernel for and got, or was told to wait for; one file each."""
    for file in folder.glob("trace.*"):
        for line in file.read_text(errors="replace").splitlines():
            if (found := LINE.match(line)) is not None and (int(found[3]) >= 0 or "EINPROGRESS" in found[4]):
                yield Call(found[1], found[2], int(found[3]))


@dataclass(frozen=True)
class Traced:
    """What was asked of the kernel while pictures were seen, how many, the camera's port, and the daemon's folder."""

    calls: list[Call]
    pictures: int
    port: str
    folder: Path


def strace(traces: Path, *command: str) -> list[str]:
    """The command, traced with all that it starts."""
    trace = [program("strace"), "-D", "-qq", "-ff", "--seccomp-bpf", "-s", "64", "-e", f"trace={CALLS}"]
    return [*trace, "-o", str(traces / "trace"), sys.executable, "-B", "-m", *command]


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> tuple[Path, Path]:
    """A home, and where traces go."""
    return tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("traces")


def learnt(scenes, places) -> Traced:
    """What learning a face did."""
    home, traces = places[0], places[1] / "enrol"
    traces.mkdir()
    folder = Paths.resolve(home).state_of("gaze_sensor")
    with virtual_camera(scenes["looking-straight"].read_bytes()) as camera:
        asked = ("gaze", "enrol", "--seconds", "2.5", "--camera", camera.url, "--home", str(home))
        subprocess.run(strace(traces, "tools.ligand", *asked), cwd=ROOT, check=True)
        return Traced(list(calls(traces)), camera.sent, port_of(camera), folder)


def watched(scenes, places, learning) -> Traced:
    """What the sensor did from its start to its end: with the package's models, then with a bundle for one face."""
    home_folder, traces = places[0], places[1] / "watch"
    traces.mkdir()
    with constellation(home_folder) as home, virtual_camera(scenes["looking-straight"].read_bytes()) as camera:
        home.config("bus", {"disable": others("gaze_sensor")})
        config = {"camera": camera.url, "stall_s": 20}
        home.config("gaze_sensor", config)
        home.bus()
        running = home.start("gaze_sensor", "-c", STRACE, *strace(traces, "services.gaze_sensor")).ready()
        home.wait_for("Q_ATTENTION_GAINED", 1, 60)
        folder = learning.result().folder
        home.config("gaze_sensor", {**config, "model": str(scenes["face_landmarker"]), "face": "enrolled"})
        running.signal(signal.SIGHUP)
        home.wait_for("Q_ATTENTION_GAINED", 2, 60)
        running.signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
        return Traced(list(calls(traces)), camera.sent, port_of(camera), folder)


def port_of(camera: VirtualCamera) -> str:
    return camera.url.split(":")[2].split("/")[0]


@pytest.fixture(scope="module")
def both(scenes, places) -> dict[str, Traced]:
    """Learning, and watching meanwhile and with what was learnt."""
    recogniser()
    with ThreadPoolExecutor(1) as beside:
        learning = beside.submit(learnt, scenes, places)
        return {"watched": watched(scenes, places, learning), "learnt": learning.result()}


@pytest.fixture(params=["learnt", "watched"])
def traced(request, both) -> Traced:
    found: Traced = both[request.param]
    return found


def test_nothing_is_written_to_any_file(traced):
    """A picture on a disk outlives the moment in which a person had agreed to be looked at."""
    found = traced.calls
    assert [one for one in found if one.name.startswith("openat")], "the trace is empty, so it proves nothing"
    writing = [one for one in found if "open" in one.name and re.search(r"O_WRONLY|O_RDWR|O_CREAT", one.arguments)]
    paths = {path[1] for one in writing if (path := re.search(r'"([^"]*)"', one.arguments))}
    features = str(traced.folder / f".{enrolment.FILE}.")
    assert {path for path in paths if path not in ("/dev/null", "/dev/tty") and not path.startswith(features)} == set()
    made = [one for one in found if one.name not in {*OUT, "connect", "bind"} and "open" not in one.name]
    folders = (f'mkdir("{folder}"' for folder in (traced.folder, traced.folder.parent))
    allowed = (*folders, f'rename("{features}', 'memfd_create("said"')
    assert [one for one in made if not f"{one.name}({one.arguments}".startswith(allowed)] == []


def test_what_leaves_is_too_little_for_a_picture(traced):
    """Only numbers may leave: to the daemon, and from it to the bus; and nobody but the camera is called."""
    found, port = traced.calls, traced.port
    written = [one.result for one in found if one.name in OUT and not FEATURES.match(one.arguments)]
    assert traced.pictures > 20
    assert 0 < sum(written) < traced.pictures * LEAST_PICTURE / 3
    assert max(written) < LEAST_PICTURE * 2
    called = [one.arguments for one in found if one.name == "connect" and "AF_UNIX" not in one.arguments]
    assert called
    assert [one for one in called if f"htons({port})" not in one] == []
