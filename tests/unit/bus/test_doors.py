"""The access lists on the bus's sockets."""

from __future__ import annotations

import socket
import stat
import subprocess
from pathlib import Path

import pytest

from services.bus import doors


@pytest.fixture
def door(tmp_path: Path):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        yield tmp_path / "s"


def test_in_user_mode_nobody_else_connects(door):
    """Another person on the machine cannot speak to my bus."""
    doors.close_to_others(door, "bus", "user")
    assert stat.S_IMODE(door.stat().st_mode) == 0o600


def test_in_system_mode_the_named_groups_connect_and_nobody_else(door, monkeypatch):
    """Daemons and people get in; the list is what the kernel understands."""
    monkeypatch.setattr(doors, "_gid", {"ligand": 70002, "ligand-users": 70001}.__getitem__)
    doors.close_to_others(door, "bus", "system")
    said = subprocess.run(["getfacl", "-n", "-c", str(door)], capture_output=True, text=True, check=True, cwd="/")
    assert said.stdout.split() == [
        "user::rw-", "group::---", "group:70001:rw-", "group:70002:rw-", "mask::rw-", "other::---",
    ]  # fmt: skip


def test_a_group_that_is_not_there_is_named(door, monkeypatch):
    """Whoever is in no group that exists stays outside, and the bus's log says which group to make."""
    monkeypatch.setattr(doors, "PEOPLE", "no-such-group-here")
    monkeypatch.setitem(doors.MAY_OPEN, "mirror", ("no-such-group-here",))
    assert doors.close_to_others(door, "mirror", "system") == ("no-such-group-here",)
    assert stat.S_IMODE(door.stat().st_mode) & 0o007 == 0
