"""Which daemons may be which users."""

from __future__ import annotations

import pytest
import yaml

from services.bus.access import check_users
from services.runtime.manifest import Manifest
from signals.errors import ManifestError


@pytest.fixture
def manifests(tmp_path):
    """Manifests of daemons with the users that are given."""

    def found(**users: str) -> dict[str, Manifest]:
        made = {}
        for daemon, user in users.items():
            file = tmp_path / f"{daemon}.yaml"
            file.write_text(yaml.safe_dump({"daemon": daemon, "description": "x", "user": user}))
            made[daemon] = Manifest.load(file)
        return made

    return found


@pytest.mark.parametrize("second", ["root", "0"])
def test_two_daemons_of_one_user_are_refused_by_whatever_name(manifests, second):
    """Two names of one user are one user to the kernel: the one daemon could pose as the other."""
    with pytest.raises(ManifestError, match=rf"two would run as {second}, like one .*one\.yaml"):
        check_users(manifests(one="root", two=second))


def test_daemons_of_different_users_are_accepted(manifests):
    """Also those whose users are not there yet; two of these with one name are refused all the same."""
    check_users(manifests(one="root", two="daemon", three="no-such-user", four="nor-such-a-user"))
    with pytest.raises(ManifestError, match="two would run as no-such-user"):
        check_users(manifests(one="no-such-user", two="no-such-user"))


def test_two_instances_of_one_user_are_refused(manifests, tmp_path):
    """A template whose `user` names no instance would let each instance pose as the other."""
    file = tmp_path / "twin.yaml"
    file.write_text("daemon: twin\ndescription: x\ninstances: true\nuser: daemon\n")
    sessions = Manifest.load(file).sessions({"twin": ["one", "two"]})
    with pytest.raises(ManifestError, match=r"twin@two would run as daemon, like twin@one .*%i"):
        check_users(sessions)
