"""Access control lists on trees of real files, by real users: who may do what while a grant stands, and after it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.required import program, root
from tools.ligand.acl import give, take
from tools.ligand.layout import InstallError
from tools.ligand.tree import held, walk

ALICE, BOB, DAEMON = 64001, 64002, 64003


@pytest.fixture
def folder() -> Iterator[Path]:
    """alice's own, where others may pass, which a test's own folder does not let."""
    root("becoming another user")
    program("getfacl")
    place = Path(tempfile.mkdtemp(dir="/var/tmp"))
    place.chmod(0o755)
    (place / "work").mkdir(mode=0o755)
    os.chown(place / "work", ALICE, ALICE)
    yield place / "work"
    subprocess.run(["rm", "-r", place], check=True)  # shutil.rmtree does not get as deep as a test here goes


def may(user: int, folder: Path, what: str) -> bool:
    """Whether a shell of that user can do it in the folder."""
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
    done = subprocess.run([*become, "sh", "-ec", what], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


def lists(folder: Path) -> str:
    command = ["getfacl", "--numeric", "--recursive", "--absolute-names", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def granted(folder: Path, rights: str) -> list[str]:
    with held(folder) as top:
        return give(top, DAEMON, rights)


def revoked(folder: Path) -> list[str]:
    with held(folder) as top:
        return take(top, DAEMON)


MAKES = """
umask 077; echo x > note; echo x > closed; chmod 600 closed
mkdir -p inner/deep; echo x > inner/deep/file; mkdir private; echo x > private/file; chmod 700 private
ln -s note link
"""


def test_a_person_keeps_every_right_on_what_a_daemon_makes_in_their_folder(folder: Path) -> None:
    """What the deployer wrote into alice's project is alice's to read, change and remove; afterwards she owns it."""
    before = lists(folder)
    granted(folder, "rwX")
    assert may(DAEMON, folder, MAKES)
    assert may(ALICE, folder, "cat note inner/deep/file; echo mine >> inner/deep/file; touch inner/deep/own")
    assert may(ALICE, folder, "rm inner/deep/file; mkdir inner/deep/more")
    assert not may(ALICE, folder, "cat closed")  # the daemon closed it, and a mode outweighs a list
    granted(folder, "rwX")
    assert may(ALICE, folder, "cat closed private/file; echo mine >> closed")
    assert may(DAEMON, folder, "cat closed private/file; echo again >> closed")
    assert not may(BOB, folder, "cat note")
    revoked(folder)
    assert {path.lstat().st_uid for path in folder.rglob("*") if path.name != "link"} == {ALICE}
    assert "+" not in subprocess.run(["ls", "-lR", folder], capture_output=True, text=True, check=True).stdout
    assert not may(DAEMON, folder, "cat closed || cat private/file || touch new")
    assert may(ALICE, folder, "cat closed private/file; rm -r inner private closed note link")
    assert lists(folder) == before


def test_what_the_owner_had_said_of_new_files_is_so_again_everywhere(folder: Path) -> None:
    """alice shares her folder with bob by a default list; after a revoke it says so, also in folders made meanwhile."""
    assert may(ALICE, folder, f"mkdir old shut; setfacl -d -m u:{BOB}:rX . old; setfacl -d -m g::-,o::- shut")
    assert may(ALICE, folder, f"echo x > old/file; setfacl -m u:{ALICE}:r,u:{BOB}:rw old/file; chmod 640 old/file")
    before = lists(folder)
    for _ in range(2):
        granted(folder, "rwX")
    assert may(DAEMON, folder, "mkdir -p old/new/deep; echo x > old/new/deep/file")
    assert may(ALICE, folder, "mkdir mine; cat old/new/deep/file")
    assert may(BOB, folder, "cat old/new/deep/file")
    revoked(folder)
    for new in ("old/new", "old/new/deep", "mine"):
        said = subprocess.run(["getfacl", "-dn", folder / new], capture_output=True, text=True, check=True).stdout
        assert f"user:{BOB}:r-x" in said
        assert f"user:{ALICE}:" not in said
        assert f"user:{DAEMON}:" not in said
    assert may(ALICE, folder, "rm -r old/new mine")
    assert lists(folder) == before


def test_two_daemons_in_one_folder_leave_it_as_it_was(folder: Path) -> None:
    """The second revoke gives back what the first grant found, in whichever order they are taken."""
    other = DAEMON + 1
    assert may(ALICE, folder, f"mkdir old; setfacl -d -m u:{BOB}:rX old")
    before = lists(folder)
    for first, second in ((DAEMON, other), (other, DAEMON)):
        with held(folder) as top:
            give(top, DAEMON, "rwX")
            give(top, other, "rwX")
            take(top, first)
            assert may(second, folder, "echo x > old/file; mkdir old/new")
            assert may(ALICE, folder, "cat old/file; touch old/new/mine")
            take(top, second)
        assert may(ALICE, folder, "rm -r old/file old/new")
        assert lists(folder) == before


def test_folders_nested_beyond_all_measure_are_granted_and_revoked(folder: Path) -> None:
    """A runaway script that nests 1,500 folders stops neither a grant nor its revoke, and costs no descriptors."""
    depth = 1500
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    granted(folder, "rX")
    assert len(os.listxattr(here)) > 0
    with held(folder) as top:
        before = len(os.listdir("/proc/self/fd"))
        most = max(len(os.listdir("/proc/self/fd")) - before for _ in walk(top, print))
        assert sum(1 for _ in walk(top, print)) == depth + 1
    assert most <= 3
    revoked(folder)
    assert os.listxattr(here) == []
    os.close(here)


def test_what_could_not_be_looked_into_is_named_and_the_rest_is_done(folder: Path) -> None:
    """A folder that even root may not read, as on a network drive, is no silent hole in a grant or a revoke."""
    for name in ("a", "b/inner", "c"):
        (folder / name).mkdir(parents=True)
    (folder / "b").chmod(0)
    shutil.chown(folder / "a", ALICE)
    shutil.chown(folder / "c", ALICE)
    os.seteuid(ALICE)  # may read all but one folder, as root on a drive that knows no root
    try:
        wrong: list[str] = []
        with held(folder) as top:
            seen = [one.name for one in walk(top, wrong.append)]
            with pytest.raises(InstallError, match="b: Permission denied"):
                give(top, DAEMON, "rX")
    finally:
        os.seteuid(0)
    assert wrong == [f"{folder}/b: Permission denied"]
    assert sorted(seen) == [str(folder), *(f"{folder}/{name}" for name in "abc")]


def test_a_files_name_does_not_steer_the_terminal_of_who_grants(folder: Path) -> None:
    """Whoever may name a file in a granted folder can neither fake a line of the command's nor end it with a name."""
    name = b"a\x1b]0;mine\x07\nall is well \xff"
    os.mkdir(os.path.join(os.fsencode(folder), name))
    with held(folder) as top:
        shown = [one.name for one in walk(top, print)][1]
    assert shown == f"{folder}/a\\x1b]0;mine\\x07\\nall is well \\udcff"


def test_a_folder_that_is_moved_away_under_the_walk_ends_it(folder: Path) -> None:
    """Whoever moves a folder while root walks in it leads root nowhere else; the person hears what happened."""
    for name in ("tree/a/b/c", "elsewhere"):
        (folder / name).mkdir(parents=True)

    def walk_on(top: int) -> None:
        for one in walk(top, print):
            if one.name.endswith("/c"):
                (folder / "tree/a/b").rename(folder / "elsewhere/b")

    with held(folder / "tree") as top, pytest.raises(InstallError, match="was moved to"):
        walk_on(top)


def test_what_is_made_while_a_folder_is_granted_is_not_left_out(folder: Path) -> None:
    """A file that appears in the instant in which its folder is granted is either found or made with the right list."""
    with held(folder) as top:
        seen = []
        for one in walk(top, print):
            seen.append(one.name)
            if one.name == str(folder):
                (folder / "new").touch()
    assert seen == [str(folder), f"{folder}/new"]
