"""Installing and uninstalling on a machine that had no Ligand before."""

from __future__ import annotations

import pytest

from tests.support.installed import Installed, unit

pytestmark = [pytest.mark.xdist_group("systemd-fresh"), pytest.mark.timeout(1200)]
LISTING = ("find", "/etc", "/opt", "/usr/local", "/var/lib", "/run", "/home", "-not", "-path", "/run/log/*")
PREFIX = "/srv/my own 100% Ligand"


def traces(machine) -> set[str]:
    return {path for path in machine.out(*LISTING).splitlines() if "ligand" in path.lower()}


def test_what_cannot_be_installed_leaves_no_trace(fresh):
    """No room, no right to write, somebody's own program of that name: one message, and the machine as it was."""
    ligand, before = Installed(fresh), traces(fresh)
    fresh.run("mkdir", "/srv/small", "/srv/fixed")
    fresh.run("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", "/srv/small")
    fresh.run("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/srv/fixed")
    for prefix, said in (
        ("/srv/small/ligand", "MB were free in /srv/small/ligand/versions"),
        ("/srv/fixed/ligand", "Read-only file system"),
        ("/srv/a:b", "cannot be the prefix"),
        ("/home/ligand", "home folder"),
    ):
        done = ligand.ligand("install", "--system", "--prefix", prefix, check=False)
        assert done.returncode == 1, prefix
        assert said in done.stderr, prefix
        assert "Traceback" not in done.stderr
    assert fresh.out("find", "/srv/small", "-type", "f") == ""
    fresh.write("/usr/local/bin/signal-tap", "mine")
    done = ligand.ligand("install", "--system", check=False)
    assert "/usr/local/bin/signal-tap is there already" in done.stderr
    assert fresh.read("/usr/local/bin/signal-tap") == "mine"
    assert traces(fresh) == before


def test_uninstalling_keeps_what_is_a_persons_and_purging_leaves_nothing(fresh):
    """Somebody who tried Ligand, wherever they put it, gets their machine back as it was."""
    before, users = traces(fresh), fresh.read("/etc/passwd") + fresh.read("/etc/group")
    ligand = Installed(fresh)
    ligand.ligand("install", "--system", "--prefix", PREFIX)
    for daemon in ("bus", "investigator"):
        assert PREFIX in fresh.show(unit(daemon), "ExecStart")
    ligand.kill("investigator")
    fresh.until(
        "a failure is told from there",
        lambda: "KILL" in fresh.run("signal-tap", "show", "-o", "json", "Q_DAEMON_FAILED", check=False).stdout,
    )
    fresh.run("useradd", "alice")
    fresh.run("usermod", "--append", "--groups", "ligand-users", "alice")
    fresh.write("/home/alice/file", "text")
    ligand.ligand("grant", "investigator", "/home/alice/file", "--read")
    ligand.ligand("uninstall", "--system", "--prefix", PREFIX)
    assert fresh.run("systemctl", "cat", unit("bus"), check=False).returncode != 0
    assert fresh.run("test", "-e", PREFIX, check=False).returncode != 0
    assert fresh.read("/etc/ligand/bus.yaml")
    assert fresh.out("ls", "/var/lib/ligand/bus/journal.db")
    assert "is not installed" in ligand.ligand("uninstall", "--system", "--prefix", PREFIX, check=False).stderr
    ligand.ligand("uninstall", "--system", "--prefix", PREFIX, "--purge")
    assert "ligand" not in fresh.out("getfacl", "/home/alice/file")
    fresh.run("userdel", "alice")
    assert traces(fresh) - before == set()
    assert fresh.read("/etc/passwd") + fresh.read("/etc/group") == users
