"""Uninstalling, on a machine that had no Ligand before."""

from __future__ import annotations

import pytest

from tests.support.installed import Installed, unit

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(600)]
LISTING = ("find", "/etc", "/opt", "/usr/local", "/var/lib", "/run", "/home", "-not", "-path", "/run/log/*")


def test_uninstalling_keeps_what_is_a_persons_and_purging_leaves_nothing(fresh):
    """Somebody who tried Ligand gets their machine back as it was."""
    before, users = set(fresh.out(*LISTING).splitlines()), fresh.read("/etc/passwd") + fresh.read("/etc/group")
    ligand = Installed(fresh)
    ligand.ligand("install", "--system")
    fresh.run("useradd", "alice")
    fresh.run("usermod", "--append", "--groups", "ligand-users", "alice")
    fresh.write("/home/alice/file", "text")
    ligand.ligand("grant", "investigator", "/home/alice/file", "--read")
    ligand.ligand("uninstall", "--system")
    assert fresh.run("systemctl", "cat", unit("bus"), check=False).returncode != 0
    assert fresh.run("test", "-e", "/opt/ligand", check=False).returncode != 0
    assert fresh.read("/etc/ligand/bus.yaml")
    assert fresh.out("ls", "/var/lib/ligand/bus/journal.db")
    ligand.ligand("uninstall", "--system", "--purge")
    assert "ligand" not in fresh.out("getfacl", "/home/alice/file")
    fresh.run("userdel", "alice")
    left = set(fresh.out(*LISTING).splitlines()) - before
    assert sorted(path for path in left if "ligand" in path.lower()) == []
    assert fresh.read("/etc/passwd") + fresh.read("/etc/group") == users
