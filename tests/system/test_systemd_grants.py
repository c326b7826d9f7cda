"""What of a person's files a daemon sees: nothing, until it is granted; and nothing again once it is taken back."""

from __future__ import annotations

import json

import pytest

from tests.support.installed import unit
from tests.support.systemd import Machine

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]
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


SWAP = """#!/bin/sh
if mv /home/alice/in /home/alice/moved 2>/dev/null; then ln -s /srv/private /home/alice/in; fi
PATH=/usr/bin exec setfacl "$@"
"""


def test_a_path_that_is_swapped_while_it_is_granted_leads_nowhere_else(ligand, home):
    """Whoever may write to the folder above cannot make root open another's files, however fast they are."""
    for path in ("/home/alice/in/project/file", "/srv/private/project/file"):
        home.run("sh", "-c", 'mkdir -p "${0%/*}" && echo text > "$0"', path)
    home.write("/srv/bin/setfacl", SWAP, mode="0755")  # at the last moment: after every check, before the list is set
    ligand.ligand("grant", "investigator", "/home/alice/in/project", "--read", path="/srv/bin")
    assert home.out("readlink", "/home/alice/in") == "/srv/private"
    assert "ligand-investigator" not in home.out("getfacl", "--recursive", "/srv/private")
    assert home.out("getfacl", "--recursive", "/home/alice/moved/project").count("\nuser:ligand-investigator") == 2
    done = ligand.ligand("revoke", "investigator", "/home/alice/in/project")
    assert "has become a link" in done.stdout
    assert ligand.ligand("grants", "-o", "json").stdout.strip() == "[]"
    home.run("rm", "-r", "/home/alice/in", "/home/alice/moved", "/srv/private", "/srv/bin")


SLOW = "#!/bin/sh\n[ -e /run/is-granting ] || { touch /run/is-granting; read line < /run/go-on; }\n"


def test_two_changes_at_once_do_not_mix(ligand, home):
    """Two shells, two administrators: the second is told who is at it, and nothing is half done."""
    home.write("/srv/bin/setfacl", SLOW, mode="0755")
    home.run("mkfifo", "/run/go-on")
    first = ligand.begin("grant", "investigator", "/home/alice/project", "--read", path="/srv/bin")
    home.until("it is under way", lambda: home.run("test", "-e", "/run/is-granting", check=False).returncode == 0)
    try:
        for command in (
            ("grant", "investigator", NOTES, "--write"),
            ("install", "--system"),
            ("uninstall", "--system"),
        ):
            second = ligand.ligand(*command, check=False)
            assert second.returncode == 1
            assert "`ligand grant`, process " in second.stderr
    finally:
        home.run("sh", "-c", "echo > /run/go-on")
        assert first.wait(60) == 0
    home.run("rm", "-r", "/srv/bin", "/run/go-on", "/run/is-granting")
    assert [one["path"] for one in json.loads(ligand.ligand("grants", "-o", "json").stdout)] == ["/home/alice/project"]
    ligand.ligand("revoke", "investigator", "/home/alice/project")


def test_a_link_does_not_carry_a_grant_to_somewhere_else(ligand, home):
    """A link planted in a folder does not give away what it points to when the folder is granted."""
    home.run("ln", "-s", "/home/alice/secret.txt", "/home/alice/project/link", user="alice")
    ligand.ligand("grant", "investigator", "/home/alice/project", "--read")
    assert "ligand-investigator" not in home.out("getfacl", "/home/alice/secret.txt")
    ligand.ligand("revoke", "investigator", "/home/alice/project")
