"""One booted systemd with Ligand installed in it serves all tests of a session that change little."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.installed import Installed
from tests.support.systemd import Machine, machine, missing


def booted(folder: Path) -> AbstractContextManager[Machine]:
    """A booted systemd; skips the test, or fails it in CI, where there cannot be one."""
    why = missing()
    if why and os.environ.get("CI"):
        pytest.fail(f"no systemd can be booted here: {why}; CI must not go without")
    if why:
        pytest.skip(f"no systemd can be booted here: {why}")
    return machine(folder)


@pytest.fixture
def fresh(tmp_path) -> Iterator[Machine]:
    """A machine for one test alone, with nothing on it."""
    with booted(tmp_path) as found:
        yield found


@pytest.fixture(scope="session")
def bare(tmp_path_factory) -> Iterator[Machine]:
    """A machine with a few people: alice and bob may use Ligand, mallory may not."""
    with booted(tmp_path_factory.mktemp("systemd")) as found:
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
