"""`ligand install --user`: one person's own Ligand, under that person's own service manager."""

from __future__ import annotations

import json
import sys

import pytest

from tests.support.systemd import ROOT
from tests.support.wheels import offline, unpacked

pytestmark = [pytest.mark.xdist_group("systemd-fresh"), pytest.mark.timeout(1200)]
NAME, RUN, HOME = "carol", "/run/user/carol", "/home/carol"
ENVIRON = {"XDG_RUNTIME_DIR": RUN, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def carol(fresh):
    """A person with a running service manager, as logind starts one at log-in."""
    bare = fresh
    bare.run("useradd", "mallory")
    bare.run("useradd", "--create-home", "--shell", "/bin/sh", NAME)
    bare.run("install", "-d", "-m", "0700", "-o", NAME, "-g", NAME, RUN)
    manager = ("/lib/systemd/systemd", "--user")
    options = ("--unit=carol-manager", f"--uid={NAME}", f"--gid={NAME}", "--property=Delegate=yes", "--quiet")
    environ = (f"--setenv=XDG_RUNTIME_DIR={RUN}", f"--setenv=HOME={HOME}")
    bare.run("systemd-run", *options, *environ, *manager)
    status = ("systemctl", "--user", "show", "--property=Version")
    bare.until(
        "carol's manager answers", lambda: not bare.run(*status, user=NAME, check=False, environ=ENVIRON).returncode
    )
    yield bare
    bare.systemctl("stop", "carol-manager.service")


def ligand(machine, *arguments: str) -> str:
    command = (sys.executable, "-m", "tests.support.quick", str(unpacked()), *arguments)
    return str(machine.run(*command, user=NAME, environ={**offline(), **ENVIRON}, timeout_s=600.0).stdout)


def test_a_person_without_root_installs_uses_and_removes_their_own_ligand(carol):
    """Everything lies in the home folder, needs no root, is shown before it is done, and is gone after a purge."""
    before = set(carol.out("find", HOME, "-not", "-path", "*/.cache*").splitlines())
    shown = ligand(carol, "install", "--user", "--dry-run").splitlines()
    assert "ligand" not in carol.out("find", HOME)
    *done, last = ligand(carol, "install", "--user").splitlines()
    assert [line.removeprefix("would ") for line in shown] == done
    assert "every daemon is ready" in last
    states = carol.run(
        "systemctl", "--user", "list-units", "--output=json", "ligand-*.service", user=NAME, environ=ENVIRON
    ).stdout
    assert {one["sub"] for one in json.loads(states)} == {"running"}
    assert carol.out("stat", "--format=%a", f"{RUN}/ligand/bus.sock") == "600"
    assert "access: system" not in carol.read(f"{HOME}/.config/ligand/bus.yaml")
    assert carol.run("ls", f"{RUN}/ligand", user="mallory", check=False).returncode != 0
    ligand(carol, "uninstall", "--user", "--purge")
    left = set(carol.out("find", HOME, "-not", "-path", "*/.cache*").splitlines()) - before
    assert sorted(path for path in left if "ligand" in path) == []
