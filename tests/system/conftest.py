"""One booted systemd with Ligand installed in it serves all tests of a session that change little."""

from __future__ import annotations

import os
from collections.abc import Iterator

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


@pytest.fixture(scope="session")
def ligand(bare) -> Installed:
    """Ligand, installed by its own command."""
    found = Installed(bare)
    bare.write("/etc/systemd/system/ligand-.service.d/90-test.conf", "[Service]\nWatchdogSec=4\nRestartSec=200ms\n")
    found.ligand("install", "--system")
    for name in ("alice", "bob"):
        bare.run("usermod", "--append", "--groups", "ligand-users", name)
    bare.systemctl("reload", "ligand-bus")
    found.ready()
    return found
