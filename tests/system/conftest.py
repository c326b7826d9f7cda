"""One booted systemd with Ligand installed in it serves all tests of a session that change little."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.installed import Installed
from tests.support.systemd import Machine, machine, missing


@pytest.fixture(scope="session")
def bare(tmp_path_factory) -> Iterator[Machine]:
    """A booted systemd with nothing on it and a few people: alice and bob may use Ligand, mallory may not."""
    why = missing()
    if why and os.environ.get("CI"):
        pytest.fail(f"no systemd can be booted here: {why}; CI must not go without")
    if why:
        pytest.skip(f"no systemd can be booted here: {why}")
    with machine(tmp_path_factory.mktemp("systemd")) as found:
        for name in ("alice", "bob", "mallory"):
            found.run("useradd", "--create-home", "--shell", "/bin/sh", name)
        yield found


@dataclass(frozen=True)
class Untouched:
    """The files of the machine before Ligand came, and the command that lists them."""

    command: tuple[str, ...]
    files: set[str]


@pytest.fixture(scope="session")
def untouched(bare) -> Untouched:
    """What was there before."""
    command = ("find", "/etc", "/opt", "/usr/local", "/var/lib", "/run", "/home", "-not", "-path", "/run/log/*")
    return Untouched(command, set(bare.out(*command).splitlines()))


@pytest.fixture(scope="session")
def ligand(bare, untouched) -> Installed:
    """Ligand, installed by its own command."""
    found = Installed(bare)
    bare.write("/etc/systemd/system/ligand-.service.d/90-test.conf", "[Service]\nWatchdogSec=4\nRestartSec=200ms\n")
    found.ligand("install", "--system")
    for name in ("alice", "bob"):
        bare.run("usermod", "--append", "--groups", "ligand-users", name)
    bare.systemctl("reload", "ligand-bus")
    found.ready()
    return found
