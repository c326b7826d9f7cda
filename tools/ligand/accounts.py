"""The users and groups that a system installation has made, and taking them away again."""

from __future__ import annotations

import grp
import pwd
from pathlib import Path

from tools.ligand import environment
from tools.ligand.layout import DEFAULT_STATE, InstallError, Layout
from tools.ligand.steps import Steps

GROUPS = ("ligand", "ligand-users")
USED_BEFORE = "# made before: "
"""Begins a line of a users' file: a user that was made for a daemon or an instance that is there no more."""


def with_those_before(text: str, file: Path) -> str:
    """A users' file to be written, with who was made by the one that is there and is not in it any more."""
    gone = sorted(named(_text(file)) - named(text))
    return text + "".join(f"{USED_BEFORE}{user}\n" for user in gone)


def named(text: str) -> set[str]:
    """The users that a file of sysusers.d(5) makes, or made before."""
    lines = [line.split() for line in text.splitlines()]
    before = (line.removeprefix(USED_BEFORE) for line in text.splitlines() if line.startswith(USED_BEFORE))
    return {words[1] for words in lines if len(words) > 1 and words[0] == "u"} | {*before}


class Accounts:
    """Who would go with a purge: users that Ligand's files name and whose home is a daemon's; nobody else."""

    def __init__(self, layout: Layout, systemd: Path) -> None:
        files = (layout.sysusers, layout.instance_users, systemd / "ligand.sysusers.conf")
        names = set().union(*(named(_text(file)) for file in files))
        known = [one for one in pwd.getpwall() if one.pw_name in names]
        self.users = sorted(one.pw_name for one in known if Path(one.pw_dir).is_relative_to(DEFAULT_STATE))
        self.strangers = sorted({one.pw_name for one in known} - {*self.users})
        self.groups = [one for one in grp.getgrall() if one.gr_name in GROUPS]

    def check(self) -> None:
        """Raise `InstallError` when a group cannot go, because it is somebody's primary one."""
        groups = {one.gr_gid: one.gr_name for one in self.groups}
        people = [one for one in pwd.getpwall() if one.pw_gid in groups and one.pw_name not in self.users]
        if people:
            lines = (f"{one.pw_name} has {groups[one.pw_gid]} as primary group" for one in people)
            raise InstallError(
                f"Nothing was removed, for a group that would go is needed: {', '.join(lines)}. Give another one, with "
                f"`usermod --gid GROUP {people[0].pw_name}`, then run it again."
            )

    def remove(self, steps: Steps) -> None:
        """Take away users and groups, the groups last."""
        for user in self.strangers:
            steps.note(f"{user} stays: its home is not in {DEFAULT_STATE}, so it is no daemon's user")
        for user in self.users:
            steps.run("userdel", user)
        for group in self.groups:
            steps.run("groupdel", group.gr_name)


def packaged_units() -> Path:
    """Where the units and the users' file of the Ligand that runs this are."""
    beside = environment.ROOT / "systemd"
    return beside if beside.is_dir() else environment.ROOT / "tools" / "systemd"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
