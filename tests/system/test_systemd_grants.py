"""What of a person's files a daemon sees: nothing, until it is granted; and nothing again once it is taken back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.granting import FILE, GRANTED, NOTES, alices, as_daemon, granted, sees
from tests.support.installed import Installed, unit
from tests.support.systemd import Machine

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(1200)]
STAND_IN = "95-stand-in.conf"
STANDS_IN = """[Service]
ExecStart=
ExecStart=/bin/sh -c 'systemd-notify --ready && exec sleep infinity'
NotifyAccess=all
WatchdogSec=0
"""


def stands_in(machine: Machine, *units: str, which: bool) -> None:
    """Have a shell in the place of daemons, in their units: it sees what they would, and starts at once."""
    for one in units:
        if which:
            machine.drop_in(one, STANDS_IN, STAND_IN)
        else:
            machine.run("rm", "-f", f"/etc/systemd/system/{one}.d/{STAND_IN}")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", *units)


@pytest.fixture(scope="module", autouse=True)
def _stood_in_for(ligand):
    stands_in(ligand.machine, *GRANTED, which=True)
    yield
    stands_in(ligand.machine, *GRANTED, which=False)
    ligand.ready()


@pytest.fixture
def home(ligand: Installed) -> Machine:
    """alice's files, and every unit runs."""
    ligand.machine.systemctl("start", *GRANTED)
    ligand.ready()
    return alices(ligand.machine)


@pytest.fixture
def real(ligand: Installed, home: Machine) -> Iterator[Machine]:
    """alice's files, and it is the investigator itself that runs."""
    stands_in(home, unit("investigator"), which=False)
    ligand.ready("investigator")
    yield home
    stands_in(home, unit("investigator"), which=True)


@pytest.fixture
def still(ligand: Installed) -> Machine:
    """alice's files, and no daemon that would start again with each grant."""
    ligand.machine.systemctl("stop", *GRANTED)
    return alices(ligand.machine)


def test_a_daemon_sees_what_it_was_granted_and_nothing_else(ligand, real):
    """A person says which folder the investigator may read, and the rest of the home stays theirs."""
    assert not sees(real, "investigator", "-r", FILE)
    assert "would " in ligand.ligand("grant", "investigator", NOTES, "--read", "--dry-run").stdout
    assert ligand.ligand("grants", "-o", "json").stdout == ""
    ligand.ligand("grant", "investigator", "/home/alice/project", "--read")
    ligand.ligand("grant", "investigator", NOTES, "--write")
    ligand.ready("investigator")
    assert sees(real, "investigator", "-r", FILE)
    assert not sees(real, "investigator", "-w", FILE)
    assert not sees(real, "investigator", "-w", "/home/alice/project")
    assert sees(real, "investigator", "-w", NOTES)
    assert sees(real, "investigator", "-w", f"{NOTES}/old.txt")
    as_daemon(
        real, "investigator", f"umask 7; mkdir {NOTES}/made; echo text > {NOTES}/made/file; chmod 600 {NOTES}/made/*"
    )
    real.run("sh", "-c", f"echo mine > {NOTES}/made/own", user="alice")
    assert not sees(real, "investigator", "-e", "/home/alice/secret.txt")
    assert not sees(real, "intent_router", "-r", FILE)
    real.run("sh", "-c", "umask 077; echo new > /home/alice/project/new.py", user="alice")
    assert granted(ligand) == [
        {"daemon": "investigator", "path": NOTES, "access": "write"},
        {"daemon": "investigator", "path": "/home/alice/project", "access": "read"},
    ]
    assert "would " in ligand.ligand("revoke", "investigator", NOTES, "--dry-run").stdout
    assert sees(real, "investigator", "-w", NOTES)
    for path in ("/home/alice/project", NOTES):
        ligand.ligand("revoke", "investigator", path)
    ligand.ready("investigator")
    assert not sees(real, "investigator", "-e", FILE)
    assert "ligand-investigator" not in real.out("getfacl", "--recursive", "/home/alice")
    real.run("sh", "-c", f"cat {NOTES}/made/file && rm -r {NOTES}/made", user="alice")
    assert ligand.ligand("grants", "-o", "json").stdout == ""


def test_what_is_mounted_beneath_a_grant_stays_mounted_and_is_seen(ligand, home):
    """A disk in a granted folder is the person's, also one that takes no lists: it stays, and is in nothing's way."""
    disk, bare, fixed = (f"/home/alice/mine/{name}" for name in ("disk", "bare", "fixed"))
    home.run("mkdir", "-p", disk, bare, fixed, user="alice")
    home.run("mount", "-t", "tmpfs", "-o", "mode=755,ro", "tmpfs", fixed)
    home.run("mount", "-t", "ramfs", "-o", "mode=755", "ramfs", bare)
    home.run("sh", "-c", f"mkdir {bare}/inner; echo theirs > {bare}/inner/file")
    home.run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", disk)
    home.run("sh", "-c", f"echo theirs > {disk}/file")
    said = ligand.ligand("grant", "investigator", "/home/alice/mine", "--read").stdout
    for place in (bare, fixed):
        assert said.count(f"{place} is on a file system that takes no access control lists") == 1
    assert said.count("is on a file system") == 2
    ligand.ready("investigator")
    assert home.read(f"{disk}/file").strip() == "theirs"
    assert sees(home, "investigator", "-r", f"{disk}/file")
    assert sees(home, "investigator", "-r", f"{bare}/inner/file")
    home.systemctl("restart", unit("investigator"))
    ligand.ready("investigator")
    assert home.read(f"{disk}/file").strip() == "theirs"
    ligand.ligand("revoke", "investigator", "/home/alice/mine")
    ligand.ready("investigator")
    assert home.read(f"{disk}/file").strip() == "theirs"
    assert ligand.ligand("grants", "-o", "json").stdout == ""
    home.run("umount", disk, bare, fixed)


def test_what_cannot_be_meant_is_not_granted(ligand, home):
    """A slip of the hand does not open the machine, a whole home or its keys to a daemon; who means it says so."""
    for path in (
        "/home/alice/.ssh/id",
        "/home/alice/.bashrc",
        "/var/log/app/log",
        "/mnt/a disk/file",
        "/tmp/mine/file",
    ):
        home.run("sh", "-c", 'mkdir -p "${0%/*}" && echo text > "$0"', path)
    home.run("mount", "-t", "tmpfs", "tmpfs", "/mnt/a disk")
    for daemon, path, said in (
        ("investigator", "/", "too much to give"),
        ("investigator", "/home", "too much to give"),
        ("investigator", "/srv", "too much to give"),
        ("investigator", "/etc/ligand", "too much to give"),
        ("investigator", "/home/alice", "whole home folder of alice"),
        ("investigator", "/home/alice/.ssh", "holds keys"),
        ("investigator", "/home/alice/.bashrc", "is run when"),
        ("investigator", "/var/log/app", "the system's own"),
        ("investigator", "/mnt/a disk", "a whole file system is mounted"),
        ("investigator", "/tmp/mine", "each daemon has temporary folders"),
        ("nobody", "/home/alice/project", "no daemon 'nobody'"),
    ):
        done = ligand.ligand("grant", daemon, path, "--write", check=False)
        assert done.returncode == 1, path
        assert said in done.stderr, path
    assert ligand.ligand("grants", "-o", "json").stdout == ""
    home.run("umount", "/mnt/a disk")
    ligand.ligand("grant", "investigator", "/home/alice/.ssh", "--read", "--anyway")
    ligand.ready("investigator")
    assert sees(home, "investigator", "-r", "/home/alice/.ssh/id")
    ligand.ligand("revoke", "investigator", "/home/alice/.ssh")


def test_what_a_daemon_could_not_reach_is_not_granted(ligand, home):
    """A grant that could never work is refused with the command that opens the way; then it works."""
    path = "/srv/closed/inner/file"
    home.run("sh", "-c", 'mkdir -p "${0%/*}" && echo text > "$0" && chmod 700 /srv/closed', path)
    done = ligand.ligand("grant", "investigator", path, "--read", check=False)
    assert done.returncode == 1
    assert ligand.ligand("grants", "-o", "json").stdout == ""
    opens = "setfacl -m u:ligand-investigator:x /srv/closed"
    assert done.stderr.strip().endswith(opens)
    home.run(*opens.split())
    ligand.ligand("grant", "investigator", path, "--read")
    ligand.ready("investigator")
    assert sees(home, "investigator", "-r", path)
    ligand.ligand("revoke", "investigator", path)


SWAP = "if mv -T /home/alice/in /home/alice/moved 2>/dev/null; then ln -s /srv/private /home/alice/in; fi"


def test_a_path_that_is_swapped_while_it_is_granted_leads_nowhere_else(ligand, still):
    """Whoever may write to the folder above cannot make root open another's files, however fast they are."""
    for path in ("/home/alice/in/project/file", "/srv/private/project/file"):
        still.run("sh", "-c", 'mkdir -p "${0%/*}" && echo text > "$0"', path)
    # at the last moment: after every check, before the first list is set
    ligand.ligand(
        "grant", "investigator", "/home/alice/in/project", "--read", before=f"[ -L /home/alice/in ] || {SWAP}"
    )
    assert still.out("readlink", "/home/alice/in") == "/srv/private"
    assert "ligand-investigator" not in still.out("getfacl", "--recursive", "/srv/private")
    assert still.out("getfacl", "--recursive", "/home/alice/moved/project").count("\nuser:ligand-investigator") == 2
    done = ligand.ligand("revoke", "investigator", "/home/alice/in/project", check=False)
    assert done.returncode == 1
    assert "has become a link" in done.stdout
    assert granted(ligand)[0]["state"] == "closing"
    still.run("sh", "-c", "cd /home/alice && rm in && mv moved in")
    ligand.ligand("revoke", "investigator", "/home/alice/in/project")
    assert "ligand-investigator" not in still.out("getfacl", "--recursive", "/home/alice/in")
    assert ligand.ligand("grants", "-o", "json").stdout == ""
    still.run("rm", "-r", "/home/alice/in", "/srv/private")


SLOW = "[ -e /run/is-granting ] || { touch /run/is-granting; read line < /run/go-on; }"


def test_two_changes_at_once_do_not_mix(ligand, still):
    """Two shells, two administrators: the second is told who is at it, and nothing is half done."""
    still.run("mkfifo", "/run/go-on")
    first = ligand.begin("grant", "investigator", "/home/alice/project", "--read", before=SLOW)
    still.until("it is under way", lambda: still.run("test", "-e", "/run/is-granting", check=False).returncode == 0)
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
        still.run("sh", "-c", "echo > /run/go-on")
        assert first.wait(60) == 0
    still.run("rm", "/run/go-on", "/run/is-granting")
    assert [one["path"] for one in granted(ligand)] == ["/home/alice/project"]
    ligand.ligand("revoke", "investigator", "/home/alice/project")


def test_a_link_does_not_carry_a_grant_to_somewhere_else(ligand, still):
    """A link planted in a folder does not give away what it points to when the folder is granted."""
    still.run("ln", "-s", "/home/alice/secret.txt", "/home/alice/project/link", user="alice")
    ligand.ligand("grant", "investigator", "/home/alice/project", "--read")
    assert "ligand-investigator" not in still.out("getfacl", "/home/alice/secret.txt")
    ligand.ligand("revoke", "investigator", "/home/alice/project")


def test_a_granted_name_that_leads_elsewhere_later_shows_nothing(ligand, home):
    """Whoever owns the folder above cannot turn a grant into a view of another's files, however often it restarts."""
    private, make = "/home/bob/private", 'chmod 700 ~; mkdir -p "$0" && echo text > "$0/module.py" && chmod 755 "$0"'
    home.run("sh", "-c", make, private, user="bob")
    ligand.ligand("grant", "investigator", "/home/alice/project", "--read")
    for place in (f"ln -s {private} project", "mkdir project && echo text > project/module.py"):
        home.run("sh", "-c", f"cd ~ && mv project aside && {place}", user="alice")
        home.systemctl("restart", unit("investigator"))
        ligand.ready("investigator")
        assert not sees(home, "investigator", "-e", FILE)
        assert "starts without /home/alice/project: " in home.journal("--unit", unit("investigator"))
        home.run("sh", "-c", "cd ~ && rm -r project && mv aside project", user="alice")
    home.systemctl("restart", unit("investigator"))
    ligand.ready("investigator")
    assert sees(home, "investigator", "-r", FILE)
    assert "/run/ligand-grants" not in home.out("cat", "/proc/mounts")
    ligand.ligand("revoke", "investigator", "/home/alice/project")


def test_a_grant_opens_new_files_to_nobody_else_and_a_revoke_leaves_nothing(ligand, still):
    """What a person makes in a granted folder with a strict umask stays theirs; afterwards the folder is as it was."""
    listed = ("getfacl", "--numeric", "--recursive", "--absolute-names", "/home/alice/mine")
    still.run("sh", "-c", "mkdir -p ~/mine/own && chmod 755 ~/mine && setfacl -d -m g::-,o::- ~/mine/own", user="alice")
    before = still.out(*listed)
    ligand.ligand("grant", "investigator", "/home/alice/mine", "--read")
    ligand.ligand("grant", "capability_integrator", "/home/alice/mine", "--read")
    still.run("sh", "-c", "umask 077; cd ~/mine; echo new > new.txt; mkdir inner", user="alice")
    for new in ("/home/alice/mine/new.txt", "/home/alice/mine/inner"):
        assert still.run("test", "-r", new, user="mallory", check=False).returncode == 1
        assert still.run("test", "-r", new, user="ligand-investigator", check=False).returncode == 1  # not from outside
        said = still.out("getfacl", new).splitlines()
        assert {"user:ligand-investigator:r-x", "group::---", "other::---"} <= {line.split("\t")[0] for line in said}
    for daemon in ("investigator", "capability_integrator"):
        ligand.ligand("revoke", daemon, "/home/alice/mine")
    assert "default:" not in still.out("getfacl", "/home/alice/mine/inner")
    still.run("rm", "-r", "/home/alice/mine/new.txt", "/home/alice/mine/inner")
    assert still.out(*listed) == before


def test_a_grant_gives_nobody_else_what_the_mask_withholds(ligand, still):
    """A file that was closed with chmod stays closed for those its list still names; a revoke leaves it as it was."""
    listed = ("getfacl", "--numeric", "--absolute-names", "/home/alice/notes/closed.txt")
    make = "cd ~/notes; echo x > closed.txt; setfacl -m u:bob:rw closed.txt; chmod 600 closed.txt"
    still.run("sh", "-c", make, user="alice")
    attributes = "import os; print(os.listxattr('/home/alice/notes/closed.txt'))"
    before = still.out(*listed)
    ligand.ligand("grant", "investigator", NOTES, "--write")
    assert "trusted.ligand" in ligand.python(attributes)
    said = still.out("getfacl", "/home/alice/notes/closed.txt")
    assert "user:bob:---" in said
    assert "user:ligand-investigator:rw-" in said
    ligand.ligand("revoke", "investigator", NOTES)
    assert still.out(*listed) == before
    assert "trusted.ligand" not in ligand.python(attributes)


def test_a_grant_of_a_daemon_that_is_listed_no_more_can_be_taken_back(ligand, still):
    """Who removes an instance from bus.yaml can still take back what it was granted; nothing of it stays behind."""
    ligand.ligand("grant", "model_worker@research", "/home/alice/project", "--read")
    settings = still.read("/etc/ligand/bus.yaml")
    still.write("/etc/ligand/bus.yaml", f"{settings}\ninstances:\n  model_worker: [primary]\n")
    ligand.ligand("revoke", "model_worker@research", "/home/alice/project")
    still.write("/etc/ligand/bus.yaml", settings)
    assert "ligand-model-worker" not in still.out("getfacl", "--recursive", "/home/alice/project")
    assert ligand.ligand("grants", "-o", "json").stdout == ""


def test_a_revoke_leaves_the_grants_beneath_and_above(ligand, home):
    """A grant within another one, or around it, works on when only the other one is taken back."""
    inner = "/home/alice/project/inner"
    home.run("sh", "-c", f"mkdir -p {inner} && echo x > {inner}/file", user="alice")
    ligand.ligand("grant", "investigator", inner, "--write")
    ligand.ligand("grant", "investigator", "/home/alice/project", "--read")
    ligand.ready("investigator")
    assert sees(home, "investigator", "-w", f"{inner}/file")
    ligand.ligand("revoke", "investigator", "/home/alice/project")
    ligand.ready("investigator")
    assert sees(home, "investigator", "-w", f"{inner}/file")
    ligand.ligand("grant", "investigator", "/home/alice/project", "--read")
    ligand.ligand("revoke", "investigator", inner)
    ligand.ready("investigator")
    assert sees(home, "investigator", "-r", f"{inner}/file")
    assert not sees(home, "investigator", "-w", f"{inner}/file")
    ligand.ligand("revoke", "investigator", "/home/alice/project")
    assert "ligand-investigator" not in home.out("getfacl", "--recursive", "/home/alice/project")
    home.run("rm", "-r", inner)


def test_a_daemon_that_does_not_start_leaves_nothing_mounted(ligand, real):
    """A configuration error keeps a daemon from starting; no way to alice's files stays open meanwhile."""
    file, name = "/etc/ligand/investigator.yaml", unit("investigator")
    whole = real.read(file)
    ligand.ligand("grant", "investigator", "/home/alice/project", "--read")
    real.write(file, "no_such_setting: 1\n")
    real.systemctl("restart", name, check=False)
    real.until("it has failed", lambda: real.show(name, "ActiveState") == "failed")
    assert "/run/ligand-grants" not in real.read("/proc/mounts")
    real.write(file, whole)
    real.systemctl("reset-failed", name)
    real.systemctl("start", name)
    assert sees(real, "investigator", "-r", FILE)
    real.write(file, "no_such_setting: 1\n")
    assert "investigator does not start again" in ligand.ligand("revoke", "investigator", "/home/alice/project").stdout
    assert "ligand-investigator" not in real.out("getfacl", "--recursive", "/home/alice/project")
    assert ligand.ligand("grants", "-o", "json").stdout == ""
    real.write(file, whole)
    real.systemctl("reset-failed", name)
    real.systemctl("start", name)
