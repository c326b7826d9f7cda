"""Uninstalling. It comes last: the machine of the tests has no Ligand afterwards."""

from __future__ import annotations

import pytest

from tests.support.installed import unit

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(600)]


def test_uninstalling_keeps_what_is_a_persons_and_purging_leaves_nothing(ligand, bare, untouched):
    """Somebody who tried Ligand gets their machine back as it was."""
    bare.run("rm", "-f", "/etc/systemd/system/ligand-.service.d/90-test.conf")
    bare.run("rmdir", "--ignore-fail-on-non-empty", "/etc/systemd/system/ligand-.service.d")
    ligand.ligand("uninstall", "--system")
    assert bare.run("systemctl", "cat", unit("bus"), check=False).returncode != 0
    assert bare.run("test", "-e", "/opt/ligand", check=False).returncode != 0
    assert bare.read("/etc/ligand/bus.yaml")
    assert bare.out("ls", "/var/lib/ligand/bus/journal.db")
    ligand.ligand("install", "--system")
    ligand.ready()
    assert ligand.signals("Q_DAEMON_READY")
    ligand.ligand("uninstall", "--system", "--purge")
    left = set(bare.out(*untouched.command).splitlines()) - untouched.files
    assert sorted(path for path in left if "ligand" in path.lower()) == []
    assert bare.run("grep", "-c", "ligand", "/etc/passwd", "/etc/group", check=False).stdout.split() == [
        "/etc/passwd:0",
        "/etc/group:0",
    ]
