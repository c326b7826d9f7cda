"""Grants as an installation keeps them, and what is too much to give."""

from __future__ import annotations

import json
import pwd
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from pwd import struct_passwd

from tests.support.required import root
from tools.ligand.doubtful import closed_above, doubts
from tools.ligand.granted import Grant, State, drop_in_for
from tools.ligand.grants import Grants
from tools.ligand.layout import Layout, with_targets
from tools.ligand.manager import Manager
from tools.ligand.steps import Steps

STATES: tuple[State, ...] = ("open", "pending", "closing")


def test_a_grant_is_a_bind_where_homes_are_hidden() -> None:
    """Only the granted path appears; a percent sign in a name is not a specifier of systemd."""
    home, out = Grant("x", "/home/a/100%", "read"), Grant("x", "/srv/out", "write")
    lines = drop_in_for([home, out, Grant("x", "/srv/in", "read")], Path("/opt/l/bin/python")).splitlines()
    assert lines[1:5] == [
        "[Service]",
        "ProtectHome=tmpfs",
        f'BindReadOnlyPaths="-{home.held}":"/home/a/100%%"',
        f'BindPaths="-{out.held}":"/srv/out"',
    ]
    assert [line.split("=")[0] for line in lines[5:]] == ["ExecStartPre", "ExecStartPost", "ExecStopPost"]


def test_homes_that_lie_elsewhere_are_homes(tmp_path: Path, monkeypatch) -> None:
    """Where `/home` is a link, what is granted in a home reaches the daemon, and is bound over what hides the homes."""
    (tmp_path / "var/home/alice").mkdir(parents=True)
    (tmp_path / "home").symlink_to("var/home")
    homes = with_targets([str(tmp_path / "home"), "/run/user"])
    assert homes == (tmp_path / "home", Path("/run/user"), tmp_path / "var/home")
    monkeypatch.setattr("tools.ligand.granted.HOMES", homes)
    found = Grant("x", str(tmp_path / "var/home/alice/project"), "read")
    assert found.in_home
    assert f'":"{tmp_path}/home/alice/project"' in drop_in_for([found], Path("/opt/l/bin/python"))


def test_grants_go_on_where_ligand_is_installed_next(user: Layout, tmp_path: Path) -> None:
    """Who uninstalls Ligand, which keeps grants, and installs it elsewhere has daemons that still see what they may."""
    grants = [
        Grant("investigator", "/home/a/project", "read", "1:2", "ligand-investigator", 1, state) for state in STATES
    ]
    user.config.mkdir(parents=True)
    (user.config / "grants.json").write_text(json.dumps([asdict(one) for one in grants]))
    for prefix in (tmp_path / "one", tmp_path / "two"):
        moved = Grants(replace(user, prefix=prefix), Steps(lambda _: None), Manager(system=False))
        assert moved.write_drop_ins()
        assert not moved.write_drop_ins()
        (text,) = (file.read_text() for file in user.units.glob("*/50-grants.conf"))
        assert text.count(f" -- {prefix}/venv/bin/python -I -m tools.ligand.hold_grants") == 3
        assert text.count("BindReadOnlyPaths=") == 1


def test_what_is_much_to_give_is_named(tmp_path: Path, monkeypatch) -> None:
    """A slip of the hand, or a careless line from a web page, does not hand over a home, its keys or its start-up."""
    home = tmp_path / "alice"
    accounts = [struct_passwd(("alice", "x", 1000, 1000, "", str(home), "/bin/sh"))]
    monkeypatch.setattr(pwd, "getpwall", lambda: accounts)
    for place in (
        ".ssh",
        ".config/chromium/Default",
        ".config/editor",
        ".local/bin",
        "project/.gnupg",
        "notes/bin",
        "bin",
    ):
        (home / place).mkdir(parents=True)
    for place, write, why in (
        ("", False, "whole home folder of alice"),
        ("..", False, "holds the home folder of alice"),
        (".ssh", False, "/.ssh holds keys"),
        (".ssh/id_ed25519", False, "/.ssh holds keys"),
        (".config", False, "/.config/chromium holds what a browser"),
        (".config/chromium/Default", False, "/.config/chromium holds what a browser"),
        ("project", False, "project/.gnupg holds keys"),
        (".local", True, "/.local/bin is run when"),
        (".bashrc", True, "/.bashrc is run when"),
        ("bin", True, "/bin is run when"),
        (".config", True, "/.config/autostart is run when"),
    ):
        assert why in "; ".join(doubts((home / place).resolve(), write=write)), place
    for place, write in (("notes", True), (".config/editor", True), (".local", False), ("project/src", True)):
        assert doubts(home / place, write=write) == [], place
    assert "system's own" in "; ".join(doubts(Path("/var/log/app"), write=True))
    assert doubts(Path("/var/log/app"), write=False) == []
    assert "system's own" in "; ".join(doubts(Path("/var/backups"), write=False))
    assert "whole file system" in "; ".join(doubts(Path("/proc"), write=False))


def test_a_folder_above_that_is_closed_is_named(tmp_path: Path) -> None:
    """A grant that could never work is told at once, with what bars the way, rather than found out from a log."""
    root("becoming another user")
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))  # where others may pass, which a test's own folder does not let
    try:
        (folder / "in" / "deep").mkdir(parents=True)
        folder.chmod(0o755)
        assert closed_above(folder / "in" / "deep", "nobody") is None
        (folder / "in").chmod(0o700)
        assert closed_above(folder / "in" / "deep", "nobody") == folder / "in"
        assert closed_above(folder / "in" / "deep", "root") is None
    finally:
        shutil.rmtree(folder)
