"""Installing and uninstalling on a machine that had no Ligand before."""

from __future__ import annotations

import itertools

import pytest

from tests.support.installed import traces
from tests.support.systemd import ROOT

pytestmark = [pytest.mark.xdist_group("systemd-fresh"), pytest.mark.timeout(1200)]


def test_what_cannot_be_installed_leaves_no_trace(fresh, clean):
    """No room, no right to write, somebody's own program of that name: one message, and the machine as it was."""
    ligand, before = clean, traces(fresh)
    fresh.run("mkdir", "/srv/small", "/srv/fixed")
    fresh.run("install", "-d", "-o", "1234", "/srv/alice")
    fresh.run("install", "-d", "-m", "1777", "/srv/all")
    fresh.write("/srv/theirs/versions/1/thesis", "theirs")
    fresh.run("ln", "-s", "/srv/alice", "/srv/link")
    fresh.run("mount", "-t", "tmpfs", "-o", "size=3m,mode=755", "tmpfs", "/srv/small")
    fresh.run("mount", "-t", "tmpfs", "-o", "ro,mode=755", "tmpfs", "/srv/fixed")
    for prefix, said in (
        ("/srv/small/ligand", "MB were free in /srv/small/ligand/versions"),
        ("/srv/fixed/ligand", "Read-only file system"),
        ("/srv/a:b", "cannot be the prefix"),
        ("/home/ligand", "home folder"),
        ("/srv/alice/ligand", "/srv/alice: it belongs to the user 1234"),
        ("/srv/link/ligand", "/srv/alice: it belongs to the user 1234"),
        ("/srv/all/ligand", "/srv/all: others than root may write to it"),
        ("/srv/theirs", "/srv/theirs/versions is there already and is not Ligand's"),
        ("/run/ligand-program", "does not outlast a boot"),
    ):
        done = ligand.ligand(
            "install", "--system", "--prefix", prefix, check=False, pip=prefix.startswith("/srv/small")
        )
        assert done.returncode == 1, prefix
        assert said in done.stderr, prefix
        assert "Traceback" not in done.stderr
    assert fresh.out("find", "/srv/small", "/srv/fixed") == "/srv/small\n/srv/fixed"
    ligand.ligand("uninstall", "--system", "--prefix", "/srv/theirs", "--purge")  # a slip of the hand
    assert fresh.read("/srv/theirs/versions/1/thesis") == "theirs"
    fresh.write("/usr/local/bin/signal-tap", "mine")
    done = ligand.ligand("install", "--system", check=False)
    assert "/usr/local/bin/signal-tap is there already" in done.stderr
    assert fresh.read("/usr/local/bin/signal-tap") == "mine"
    fresh.run("ln", "--symbolic", "--force", "/bin/true", "/usr/local/bin/signal-tap")
    assert "leads to /bin/true" in ligand.ligand("install", "--system", check=False).stderr
    fresh.run("rm", "/usr/local/bin/signal-tap")
    assert traces(fresh) == before


def known(machine, kind: str, name: str) -> bool:
    return not machine.run("getent", kind, name, check=False).returncode


def test_purging_removes_the_users_that_ligand_made_and_nobody_else(fresh, clean):
    """Somebody's own account survives whatever it is called, and what a purge cannot do is said before it begins."""
    ligand = clean
    instances = 'u ligand-twin-one - "x" /var/lib/ligand/twin@one\n'
    fresh.write("/etc/sysusers.d/ligand-instances.conf", f"{instances}# made before: ligand-old\nu ligand-mine -\n")
    fresh.run("systemd-sysusers", str(ROOT / "systemd/ligand.sysusers.conf"))
    fresh.run("useradd", "--create-home", "ligand-mine")
    fresh.run("useradd", "--home-dir", "/var/lib/ligand/old", "ligand-old")
    fresh.run("systemd-sysusers")
    fresh.run("useradd", "ligand-admin")
    fresh.run("useradd", "--gid", "ligand-users", "carol")
    refused = ligand.ligand("uninstall", "--system", "--purge", check=False)
    assert refused.returncode == 1
    assert "carol has ligand-users as primary group" in refused.stderr
    assert "usermod --gid GROUP carol" in refused.stderr
    assert known(fresh, "passwd", "ligand-bus")
    fresh.write("/etc/ligand/grants.json", "{")
    fresh.run("usermod", "--gid", "users", "carol")
    held = "/run/ligand-grants/investigator/abc"  # as it is left when the power goes while a daemon starts
    fresh.run("mkdir", "-p", "/home/carol/project", held, "/srv/disk/bus")
    fresh.write("/home/carol/project/file", "hers")
    fresh.run("mount", "--bind", "/home/carol/project", held)
    fresh.run("ln", "-s", "/srv/disk", "/var/lib/ligand")
    assert "grants.json cannot be read" in ligand.ligand("uninstall", "--system", "--purge", check=False).stderr
    assert known(fresh, "passwd", "ligand-bus")
    fresh.run("rm", "/etc/ligand/grants.json")
    said = ligand.ligand("uninstall", "--system", "--purge").stdout
    assert "ligand-mine stays" in said
    assert "/var/lib/ligand is a link to /srv/disk: it stays, and what it leads to" in said
    assert fresh.out("ls", "/srv/disk") == "bus"
    fresh.run("rm", "/var/lib/ligand")
    assert fresh.read("/home/carol/project/file") == "hers"
    assert fresh.run("test", "-e", "/run/ligand-grants", check=False).returncode == 1
    assert "ligand-grants" not in fresh.read("/proc/mounts")
    assert all(known(fresh, "passwd", name) for name in ("ligand-admin", "ligand-mine", "carol"))
    for name in ("ligand-bus", "ligand-investigator", "ligand-twin-one", "ligand-old"):
        assert not known(fresh, "passwd", name), name
    assert not any(known(fresh, "group", name) for name in ("ligand", "ligand-users"))
    assert fresh.run("test", "-e", "/etc/sysusers.d/ligand-instances.conf", check=False).returncode


def kill_when(ligand, what, condition, *how: str, pip: bool = False) -> None:
    """Begin an installation and kill it once something is so, after a second one was refused; pip must not live on."""
    machine = ligand.machine
    begun = ligand.begin("install", "--system", *how, pip=pip)
    machine.until(what, condition, 600.0)
    second = ligand.ligand("install", "--system", check=False)
    assert second.returncode == 1
    assert "`ligand install`, process " in second.stderr
    machine.run("kill", "-KILL", machine.read("/run/ligand-install.lock").split()[-1])
    assert begun.wait(60) != 0
    machine.until("pip has ended", lambda: machine.run("pgrep", "-f", " -m pip ", check=False).returncode == 1)


def test_purging_after_a_killed_installation_leaves_nothing(fresh, clean):
    """Whenever the power went, one command takes away what was made until then."""
    before, ligand = traces(fresh), clean
    kill_when(ligand, "pip runs", lambda: not fresh.run("pgrep", "-f", " -m pip ", check=False).returncode, pip=True)
    assert "remove /opt/ligand/versions" in ligand.ligand("uninstall", "--system", "--purge").stdout
    assert traces(fresh) - before == set()
    unit_file, elsewhere = "/etc/systemd/system/ligand.target", ("--prefix", "/opt/mine/ligand")
    are_there = lambda: not fresh.run("test", "-e", unit_file, check=False).returncode  # noqa: E731 - one line
    kill_when(ligand, "units are there", are_there, *elsewhere)
    for step in itertools.count(step=4):  # the purge itself is killed too, each time later
        if not ligand.ligand("uninstall", "--system", "--purge", killed_before=step, check=False).returncode:
            break
    assert step > 5
    assert traces(fresh) - before == set()
    assert not any(known(fresh, "passwd", unit_user) for unit_user in ("ligand-bus", "ligand-gaze-sensor"))
