"""Installing again, upgrading, going back: a person's Ligand never ends up broken by it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests.support.installed import DAEMONS, unit
from tests.support.systemd import ROOT

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]
GAZE = "gaze_sensor"
TREE = ("signals", "services", "tools", "systemd", "pyproject.toml", "README.md", "LICENSE")


def pids(ligand) -> list[int]:
    return [ligand.machine.pid(unit(daemon)) for daemon in DAEMONS]


def version_in_use(ligand) -> str:
    return str(ligand.machine.out("/usr/local/bin/ligand", "--version").split()[-1])


def tree(ligand, name: str, version: str) -> str:
    """Another version's source tree on that machine."""
    folder = f"/srv/{name}"
    locks = sorted(path.name for path in ROOT.glob("requirements*.lock"))
    ligand.machine.run("mkdir", "-p", folder)
    ligand.machine.run("cp", "-r", *(str(ROOT / part) for part in (*TREE, *locks)), folder)
    ligand.machine.run("sed", "-i", f's/^version = .*/version = "{version}"/', f"{folder}/pyproject.toml")
    return folder


def test_installing_again_changes_nothing(ligand):
    """`ligand install` may be run at any time; what is right already is left alone, and no daemon restarts."""
    ligand.ready()
    before = pids(ligand)
    said = ligand.ligand("install", "--system").stdout
    assert "installed already" in said
    assert not [line for line in said.splitlines() if line.startswith(("write", "remove", "link", "make", "enable"))]
    assert pids(ligand) == before


def test_a_dry_run_shows_the_steps_and_does_none(ligand):
    """A person can read what would happen first."""
    listing = ("find", "/etc", "/opt/ligand", "/usr/local", "/var/lib/ligand", "-xdev", "-newer", "/run/mark")
    folder = tree(ligand, "dry", "0.2.0")
    ligand.machine.run("touch", "/run/mark")
    how = ("--prefix", "/opt/ligand", "--python", "/usr/bin/python3", "--ready-within", "5")
    said = ligand.ligand("install", "--system", "--from", folder, *how, "--dry-run").stdout
    assert "would make /opt/ligand/versions/" in said
    assert "would link /opt/ligand/venv" in said
    assert "would restart ligand-bus.service, " in said
    assert "would write /opt/ligand/installed.json" in said
    assert "would wait until these are ready: " + ", ".join(sorted(map(unit, DAEMONS))) in said
    assert "would remove " in ligand.ligand("uninstall", "--system", *how[:2], "--purge", "--dry-run").stdout
    changed = [path for path in ligand.machine.out(*listing).splitlines() if "/var/lib/ligand/" not in path]
    assert changed == []


def test_a_persons_settings_and_choices_survive(ligand):
    """What somebody edited, or switched off, is theirs."""
    file = "/etc/ligand/intent_router.yaml"
    whole = ligand.machine.read(file)
    ligand.machine.write(file, whole + "# my remark\n")
    ligand.machine.systemctl("disable", "--now", unit("capability_integrator"))
    ligand.ligand("install", "--system")
    assert ligand.machine.read(file).endswith("# my remark\n")
    assert ligand.machine.show(unit("capability_integrator"), "ActiveState") == "inactive"
    ligand.machine.systemctl("enable", "--now", unit("capability_integrator"))


def killed_half_way(ligand, folder: str) -> str:
    """Upgrade, and have the power go once the link is swapped; the folder's name of the version then in use."""
    machine, link = ligand.machine, ligand.machine.out("readlink", "/opt/ligand/venv")
    upgrade = ligand.begin("install", "--system", "--from", folder)
    swapped = lambda: machine.out("readlink", "/opt/ligand/venv") != link  # noqa: E731 - said twice
    machine.until("the link is swapped", lambda: swapped() or upgrade.poll() is not None, 600.0)
    assert swapped(), "the upgrade ended before it came to that"
    machine.run("kill", "-KILL", machine.read("/run/ligand-install.lock").split()[-1])
    assert upgrade.wait(60) != 0
    return str(machine.out("readlink", "/opt/ligand/venv").removeprefix("versions/"))


def test_a_broken_version_goes_back_by_itself_and_says_why(ligand):
    """An upgrade that does not work, also one that was killed and run again, leaves a person the Ligand they had."""
    ligand.ready()
    folder = tree(ligand, "broken", "0.9.0")
    broken = "import sys\nsys.exit('the flux is not compensated')\n"
    ligand.machine.write(f"{folder}/services/investigator/__main__.py", broken)
    before = version_in_use(ligand)
    killed_half_way(ligand, folder)
    done = ligand.ligand("install", "--system", "--from", folder, check=False)
    assert done.returncode == 1
    assert "ligand-investigator.service" in done.stderr
    assert "the flux is not compensated" in done.stderr
    assert f"Gone back to Ligand {before}" in done.stderr
    assert version_in_use(ligand) == before
    ligand.ready()
    record = json.loads(ligand.machine.read("/opt/ligand/installed.json"))
    assert ligand.machine.out("ls", "/opt/ligand/versions").split() == [one["name"] for one in record["kept"]]


def test_a_version_that_breaks_a_contract_or_the_configuration_never_starts(ligand):
    """What waits in the journal, and what a person has set, must mean the same to the new version."""
    ligand.ready()
    folder, before = tree(ligand, "narrow", "0.9.1"), (pids(ligand), version_in_use(ligand))
    manifest, settings = f"{folder}/services/investigator/manifest.yaml", "/etc/ligand/investigator.yaml"
    whole = ligand.machine.read(settings)
    ligand.machine.write(settings, whole + "max_files: 100\n")  # which the new version calls something else
    ligand.machine.run("sed", "-i", "s/^    max_files:$/    most_files:/", manifest)
    ligand.machine.run("rm", f"{folder}/signals/contracts/Q_SPOKEN.json")
    done = ligand.ligand("install", "--system", "--from", folder, check=False)
    ligand.machine.write(settings, whole)
    assert done.returncode == 1
    assert "max_files" in done.stderr
    assert "Q_SPOKEN: this contract is gone" in done.stderr
    assert (pids(ligand), version_in_use(ligand)) == before
    ligand.ready()


def test_a_second_installation_elsewhere_is_refused(ligand):
    """Somebody who has forgotten where Ligand is does not end up with two programs for one set of units."""
    for command in ("install", "uninstall", "rollback"):
        done = ligand.ligand(command, "--system", "--prefix", "/opt/elsewhere", check=False)
        assert done.returncode == 1
        assert "Ligand is installed in /opt/ligand, and a second one" in done.stderr
        assert "--prefix /opt/elsewhere" in done.stderr
    assert ligand.machine.run("test", "-e", "/opt/elsewhere", check=False).returncode == 1
    ligand.ready()


def loaded_from(ligand, version: str, daemons: Sequence[str]) -> list[bool]:
    """Of each of these, whether what it has in memory is of this version's environment."""
    machine, folder = ligand.machine, f"/opt/ligand/versions/{version}/"
    return [folder in machine.read(f"/proc/{machine.pid(unit(daemon))}/maps") for daemon in daemons]


def without_gaze(machine, folder: str) -> None:
    """Have a source tree without that daemon, and with a user for another one."""
    machine.run("rm", "-r", f"{folder}/services/{GAZE}", f"{folder}/systemd/{unit(GAZE)}")
    users = f"{folder}/systemd/ligand.sysusers.conf"
    novel = 'u ligand-novel - "x" /var/lib/ligand/novel'
    machine.run("sh", "-c", 'sed -i /ligand-gaze-sensor/d "$0" && echo "$1" >> "$0"', users, novel)


def doctors(ligand) -> dict[str, str]:
    """What the doctor says of the installation."""
    said = ligand.ligand("doctor", "-o", "json", check=False).stdout
    (found,) = (one for one in map(json.loads, said.splitlines()) if one["check"] == "installation")
    return dict(found)


def test_an_upgrade_that_is_killed_half_way_is_mended_by_running_it_again_and_can_be_taken_back(ligand):
    """The power goes in an upgrade to other daemons; run again it ends with one version, and the doctor says so."""
    ligand.ready()
    machine, old = ligand.machine, version_in_use(ligand)
    link, folder = machine.out("readlink", "/opt/ligand/venv"), tree(ligand, "newer", "0.2.0")
    without_gaze(machine, folder)
    machine.systemctl("disable", "--now", unit(GAZE))
    upgrade = ("install", "--system", "--from", folder)
    ligand.ligand(*upgrade, killed_after="reload the units", check=False)
    found = doctors(ligand)
    assert "the change to Ligand 0.2.0 is not over" in found["found"]
    assert f"Or go back to {old}: `ligand rollback --system`" in found["todo"]
    ligand.ligand(*upgrade)
    assert version_in_use(ligand) == "0.2.0"
    others = [daemon for daemon in DAEMONS if daemon != GAZE]
    ligand.ready(*others)
    assert doctors(ligand)["state"] == "ok"
    assert machine.show(unit(GAZE), "LoadState") == "not-found"
    assert all(loaded_from(ligand, machine.out("readlink", "/opt/ligand/venv").removeprefix("versions/"), others))
    shown = ligand.ligand("rollback", "--system", "--dry-run").stdout.splitlines()
    assert version_in_use(ligand) == "0.2.0"
    done = ligand.ligand("rollback", "--system").stdout.splitlines()
    assert [line.removeprefix("would ") for line in shown] == done
    assert f"going back to Ligand {old}" in done
    assert version_in_use(ligand) == old
    ligand.ready(*others)
    assert all(loaded_from(ligand, link.removeprefix("versions/"), others))
    assert machine.show(unit(GAZE), "ActiveState") == "inactive"
    assert "# made before: ligand-novel\n" in machine.read("/etc/sysusers.d/ligand.conf")  # a purge knows it
    machine.systemctl("enable", "--now", unit(GAZE))
    ligand.ready()
