"""What of a person's files a daemon sees: nothing, until it is granted; and nothing again once it is taken back."""

from __future__ import annotations

import json

import pytest

from tests.support.installed import unit
from tests.support.systemd import Machine

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(300)]
FILE, NOTES = "/home/alice/project/module.py", "/home/alice/notes"


def sees(machine: Machine, daemon: str, how: str, path: str) -> bool:
    """Whether a daemon's process could do that: in its own view of the files, as its own user."""
    name = f"ligand-{daemon.replace('_', '-')}"
    enter = ("nsenter", "--target", str(machine.pid(unit(daemon))), "--mount")
    become = ("setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups", "--", "test", how, path)
    return bool(machine.run(*enter, *become, check=False).returncode == 0)


@pytest.fixture
def home(ligand) -> Machine:
    machine: Machine = ligand.machine
    ligand.ready()
    machine.run("chmod", "0700", "/home/alice")
    for path in (FILE, f"{NOTES}/old.txt", "/home/alice/secret.txt"):
        machine.run("sh", "-c", 'umask 077; mkdir -p "${0%/*}"; echo text > "$0"', path, user="alice")
    return machine


def test_a_daemon_sees_what_it_was_granted_and_nothing_else(ligand, home):
    """A person says which folder the investigator may read, and the rest of the home stays theirs."""
    assert not sees(home, "investigator", "-r", FILE)
    assert "would " in ligand.ligand("grant", "investigator", NOTES, "--read", "--dry-run").stdout
    assert ligand.ligand("grants", "-o", "json").stdout.strip() == "[]"
    ligand.ligand("grant", "investigator", "/home/alice/project", "--read")
    ligand.ligand("grant", "investigator", NOTES, "--write")
    ligand.ready("investigator")
    assert sees(home, "investigator", "-r", FILE)
    assert not sees(home, "investigator", "-w", FILE)
    assert not sees(home, "investigator", "-w", "/home/alice/project")
    assert sees(home, "investigator", "-w", NOTES)
    assert sees(home, "investigator", "-w", f"{NOTES}/old.txt")
    assert not sees(home, "investigator", "-e", "/home/alice/secret.txt")
    assert not sees(home, "intent_router", "-r", FILE)
    home.run("sh", "-c", "umask 077; echo new > /home/alice/project/new.py", user="alice")
    assert json.loads(ligand.ligand("grants", "-o", "json").stdout) == [
        {"daemon": "investigator", "path": NOTES, "access": "write"},
        {"daemon": "investigator", "path": "/home/alice/project", "access": "read"},
    ]
    assert "would " in ligand.ligand("revoke", "investigator", NOTES, "--dry-run").stdout
    assert sees(home, "investigator", "-w", NOTES)
    for path in ("/home/alice/project", NOTES):
        ligand.ligand("revoke", "investigator", path)
    ligand.ready("investigator")
    assert not sees(home, "investigator", "-e", FILE)
    assert "ligand-investigator" not in home.out("getfacl", "--recursive", "/home/alice")
    assert ligand.ligand("grants", "-o", "json").stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("daemon", "path"),
    [
        ("investigator", "/"),
        ("investigator", "/home"),
        ("investigator", "/etc/ligand"),
        ("nobody", "/home/alice/project"),
    ],
)
def test_what_cannot_be_meant_is_not_granted(ligand, home, daemon, path):
    """A slip of the hand does not open the machine to a daemon."""
    done = ligand.ligand("grant", daemon, path, "--write", check=False)
    assert done.returncode == 1
    assert "Error: " in done.stderr
    assert ligand.ligand("grants", "-o", "json").stdout.strip() == "[]"


def test_a_link_does_not_carry_a_grant_to_somewhere_else(ligand, home):
    """A link planted in a folder does not give away what it points to when the folder is granted."""
    home.run("ln", "-s", "/home/alice/secret.txt", "/home/alice/project/link", user="alice")
    ligand.ligand("grant", "investigator", "/home/alice/project", "--read")
    assert "ligand-investigator" not in home.out("getfacl", "/home/alice/secret.txt")
    ligand.ligand("revoke", "investigator", "/home/alice/project")
