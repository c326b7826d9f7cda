"""Pictures stay where they are taken. If this fails, somebody's face is on a disk, or on the network."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.constellation import constellation, others
from tests.support.required import program
from tests.support.virtual_camera import virtual_camera

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


@pytest.fixture(scope="module")
def traced(scenes, tmp_path_factory) -> tuple[list[Call], int, str]:
    """What the sensor did from its start to its end while it saw pictures, how many, and the camera's port."""
    home_folder, traces = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("traces")
    with constellation(home_folder) as home, virtual_camera(scenes["looking-straight"].read_bytes()) as camera:
        home.config("bus", {"disable": others("gaze_sensor")})
        home.config("gaze_sensor", {"camera": camera.url, "stall_s": 20})
        home.bus()
        trace = [program("strace"), "-D", "-qq", "-ff", "--seccomp-bpf", "-s", "64", "-e", f"trace={CALLS}"]
        started = [*trace, "-o", str(traces / "trace"), sys.executable, "-B", "-m", "services.gaze_sensor"]
        running = home.start("gaze_sensor", "-c", STRACE, *started).ready()
        home.wait_for("Q_ATTENTION_GAINED", 1, 60)
        camera.picture = scenes["absent-wall"].read_bytes()
        home.wait_for("Q_ATTENTION_LOST", 1, 60)
        running.signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
        return list(calls(traces)), camera.sent, camera.url.split(":")[2].split("/")[0]


def test_nothing_is_written_to_any_file(traced):
    """A picture on a disk outlives the moment in which a person had agreed to be looked at."""
    found = traced[0]
    writing = [one for one in found if "open" in one.name and re.search(r"O_WRONLY|O_RDWR|O_CREAT", one.arguments)]
    paths = {path[1] for one in writing if (path := re.search(r'"([^"]*)"', one.arguments))}
    assert {path for path in paths if path not in ("/dev/null", "/dev/tty")} == set()
    made = [one for one in found if one.name not in {*OUT, "connect", "bind"} and "open" not in one.name]
    assert [one for one in made if one.name != "mkdir" or "/state/gaze_sensor" not in one.arguments] == []
    assert [one for one in found if one.name.startswith("openat")], "the trace is empty, so it proves nothing"


def test_what_leaves_is_too_little_for_a_picture(traced):
    """Only numbers may leave: to the daemon, and from it to the bus; and nobody but the camera is called."""
    found, pictures, port = traced
    sent = sum(one.result for one in found if one.name in OUT)
    assert pictures > 20
    assert 0 < sent < pictures * LEAST_PICTURE / 3
    assert max(one.result for one in found if one.name in OUT) < LEAST_PICTURE * 2
    called = [one.arguments for one in found if one.name == "connect" and "AF_UNIX" not in one.arguments]
    assert called
    assert [one for one in called if f"htons({port})" not in one] == []
