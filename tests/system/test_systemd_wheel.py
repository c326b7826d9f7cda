"""Ligand from a wheel alone, on a machine that has a controller of memory and no checkout."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.booted import booted
from tests.support.installed import DAEMONS, INSTALL_S, Installed, traces, unit
from tests.support.systemd import ROOT, Machine, memory_v1, memory_v2
from tests.support.wheels import offline

pytestmark = [pytest.mark.xdist_group("systemd-fresh"), pytest.mark.timeout(1200)]
LIGAND = "/srv/own/bin/ligand"
PREFIX = "/srv/my own 100% Ligand"
RULE = "/etc/polkit-1/rules.d/50-ligand-reload.rules"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Ligand's wheel, built with the pinned tools."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (found,) = folder.glob("*.whl")
    return Path(found)


@dataclass(frozen=True)
class Bought:
    """A machine where somebody has installed the wheel into an environment of their own; nothing else is done."""

    machine: Machine
    before: set[str]
    users: str

    def ligand(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The command of that environment, as root."""
        return self.machine.run(LIGAND, *arguments, check=check, timeout_s=INSTALL_S, environ=offline())


@pytest.fixture(scope="module")
def bought(wheel: Path, tmp_path_factory) -> Iterator[Bought]:
    with booted(tmp_path_factory.mktemp("systemd"), limits_memory=True) as machine:
        machine.run("useradd", "alice")
        found = Bought(machine, traces(machine), people(machine))
        machine.run(os.path.realpath(sys.executable), "-m", "venv", "--without-pip", "/srv/own")
        machine.run("sh", "-c", 'base64 -d > "$0"', f"/srv/{wheel.name}", text=_text(wheel))
        pip = (sys.executable, "-m", "pip", "--python", "/srv/own/bin/python")
        machine.run(*pip, "install", "--no-deps", "--no-index", f"/srv/{wheel.name}")
        # what Ligand needs is there already, as it is for these tests
        beside = machine.out("/srv/own/bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        machine.write(f"{beside}/dependencies.pth", f"{sysconfig.get_path('purelib')}\n")
        yield found


def people(machine: Machine) -> str:
    return machine.read("/etc/passwd") + machine.read("/etc/group")


def _text(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


@pytest.fixture(scope="module")
def installed(bought: Bought) -> Installed:
    """It is installed where the person wanted it, after a look at what that would do."""
    how = ("install", "--system", "--prefix", PREFIX, "--allow-reload", "nginx")
    shown = bought.ligand(*how, "--dry-run").stdout
    assert traces(bought.machine) == bought.before
    *done, last = bought.ligand(*how).stdout.splitlines()
    assert "every daemon is ready" in last
    assert [_without_folder(line.removeprefix("would ")) for line in shown.splitlines()] == [
        *map(_without_folder, done)
    ]
    return Installed(bought.machine, f"{PREFIX}/venv/bin/python")


def _without_folder(line: str) -> str:
    """The wheel is made again from its files in a temporary folder, each time another one."""
    return re.sub(r"/tmp/ligand-\w+/", "", line)


def test_a_wheel_installs_itself(bought, installed):
    """Somebody who has only `pip install ligand` gets every daemon running, wherever they want it, from the wheel."""
    machine = installed.machine
    installed.ready()
    assert '["nginx.service"]' in machine.read(RULE)
    for daemon in DAEMONS:
        assert machine.out("readlink", f"/proc/{machine.pid(unit(daemon))}/cwd") == "/"
        assert PREFIX in machine.show(unit(daemon), "ExecStart")
    where = machine.out(
        installed.interpreter, "-I", "-c", "import services; import os; print(os.path.realpath(services.__file__))"
    )
    assert where.startswith(f"{PREFIX}/versions/0001/")
    again = bought.ligand("install", "--system").stdout  # which knows where it is
    assert "installed already" in again


def test_a_ligand_that_was_changed_by_hand_does_not_spread(bought, installed):
    """What root installs is what was shipped, not what somebody did to the files meanwhile."""
    machine = installed.machine
    file = machine.out("sh", "-c", "ls /srv/own/lib/python3*/site-packages/services/investigator/daemon.py")
    machine.run("sh", "-c", 'echo "# mine" >> "$0"', file)
    done = bought.ligand("install", "--system", check=False)
    assert done.returncode == 1
    assert f"{file} is not as it was installed" in done.stderr


def test_memory_beyond_the_limit_ends_the_daemon_not_the_machine(installed):
    """A daemon that takes more than its share is ended by its own limit and started again; the others go on."""
    if not (memory_v1() or memory_v2()):
        pytest.skip("the kernel offers a controller of memory neither in cgroup v2 nor in v1")
    machine, name = installed.machine, unit("investigator")
    installed.ready()
    others = [machine.pid(unit(daemon)) for daemon in DAEMONS if daemon != "investigator"]
    assert machine.show(name, "MemoryCurrent").isdecimal()
    # too little for the daemon, enough for the process that notes its end: that one runs in the same control group
    little = "[Service]\nMemoryMax=12M\nMemorySwapMax=0\nRestartSec=200ms\n"
    machine.drop_in(name, little, "50-little.conf")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", "--no-block", name)
    machine.until("it is ended and started again", lambda: installed.restarts("investigator") > 1)
    machine.run("rm", f"/etc/systemd/system/{name}.d/50-little.conf")
    machine.systemctl("daemon-reload")
    installed.ready("investigator")
    assert [machine.pid(unit(daemon)) for daemon in DAEMONS if daemon != "investigator"] == others

    def told() -> set[str]:
        failures = [one["facts"] for one in installed.signals("Q_DAEMON_FAILED")]
        return {one["result"] for one in failures if one["unit"] == name}

    machine.until("it is told", lambda: told() != set())
    assert told() <= {"signal", "oom-kill"}


def shown_and_done(command: Callable[..., subprocess.CompletedProcess[str]], *arguments: str) -> list[str]:
    """What a command says that it does, which is what its dry run said that it would do."""
    shown = command(*arguments, "--dry-run").stdout.splitlines()
    done = command(*arguments).stdout.splitlines()
    assert [line.removeprefix("would ") for line in shown] == done
    return done


def test_uninstalling_keeps_what_is_a_persons_and_purging_leaves_nothing(bought, installed):
    """Somebody who tried Ligand, moved it, and had enough of it, loses nothing by it and gets their machine back."""
    machine, mine = installed.machine, "/home/alice/file"
    machine.run("usermod", "--append", "--groups", "ligand-users", "alice")
    machine.write(mine, "text")
    bought.ligand("grant", "investigator", mine, "--read")
    shown_and_done(bought.ligand, "uninstall", "--system")
    assert machine.run("systemctl", "cat", unit("bus"), check=False).returncode != 0
    assert machine.run("test", "-e", PREFIX, check=False).returncode != 0
    assert machine.read("/etc/ligand/bus.yaml")
    assert machine.run("test", "-e", RULE, check=False).returncode
    assert machine.out("ls", "/var/lib/ligand/bus/journal.db")
    assert "is not installed" in bought.ligand("uninstall", "--system", "--prefix", PREFIX, check=False).stderr
    elsewhere = Installed(machine)
    elsewhere.ligand("install", "--system")
    view = f"/proc/{machine.pid(unit('investigator'))}/root"
    assert machine.out("cat", f"{view}{mine}") == "text"  # the grant goes on
    machine.run("rm", "/usr/local/bin/signal-tap")
    machine.write("/usr/local/bin/signal-tap", "mine")
    shown_and_done(elsewhere.ligand, "uninstall", "--system", "--purge")
    assert machine.read("/usr/local/bin/signal-tap") == "mine"
    assert "ligand" not in machine.out("getfacl", mine)
    assert traces(machine) - bought.before == set()
    assert people(machine) == bought.users
