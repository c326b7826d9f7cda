"""One booted systemd with Ligand installed in it serves all tests of a session that change little."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.booted import booted
from tests.support.installed import Installed, Loaded
from tests.support.systemd import Machine


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Iterator[Machine]:
    """A machine for the tests of one file, with nothing on it."""
    with booted(tmp_path_factory.mktemp("systemd")) as found:
        yield found


@pytest.fixture(scope="module")
def clean(fresh: Machine) -> Iterator[Installed]:
    """The commands on such a machine."""
    loaded = Loaded(fresh)
    yield Installed(fresh, loaded=loaded)
    loaded.close()


@pytest.fixture(scope="session")
def bare(tmp_path_factory) -> Iterator[Machine]:
    """A machine with a few people: alice and bob may use Ligand, mallory may not."""
    with booted(tmp_path_factory.mktemp("systemd")) as found:
        for name in ("alice", "bob", "mallory"):
            found.run("useradd", "--create-home", "--shell", "/bin/sh", name)
        yield found


@pytest.fixture(scope="session")
def ligand(bare, tmp_path_factory) -> Iterator[Installed]:
    """Ligand, installed by its own command."""
    if "PYTEST_XDIST_WORKER" in os.environ:  # else these tests would take twice as long, unnoticed
        mark = tmp_path_factory.getbasetemp().parent / "ligand-is-installed"
        assert not mark.exists(), "two workers run tests of one group: xdist does not heed xdist_group"
        mark.touch()
    loaded = Loaded(bare)
    found = Installed(bare, loaded=loaded)
    bare.write("/etc/systemd/system/ligand-.service.d/90-test.conf", "[Service]\nWatchdogSec=4\nRestartSec=200ms\n")
    found.ligand("install", "--system")
    for name in ("alice", "bob"):
        bare.run("usermod", "--append", "--groups", "ligand-users", name)
    found.ready()
    yield found
    loaded.close()
