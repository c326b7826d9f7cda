"""What is remembered of installations, and what is checked before the next one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from signals.catalogue import PACKAGED
from tools.ligand.accounts import named, with_those_before
from tools.ligand.check_version import faults
from tools.ligand.installed import Installed, Version
from tools.ligand.layout import InstallError


def test_the_record_keeps_the_version_to_go_back_to() -> None:
    """After two upgrades there is one way back, and going back can be taken back."""
    one, two, three = (Version(f"000{n}", f"0.{n}", f"digest {n}") for n in (1, 2, 3))
    found = Installed().adopt(one).ended().adopt(two).ended().adopt(three).ended()
    assert [version.name for version in found.kept] == ["0002", "0003"]
    assert found.go_back().current == "0002"
    assert found.go_back().ended().go_back().ended() == found
    assert found.next_name() == "0004"
    with pytest.raises(InstallError, match="no earlier version"):
        Installed().adopt(one).ended().go_back()


def test_only_what_was_ready_is_gone_back_to() -> None:
    """A version that was killed before it ran once is no way back, however the next change ends."""
    one, two, three, four = (Version(f"000{n}", f"0.{n}", f"digest {n}") for n in (1, 2, 3, 4))
    killed = Installed().adopt(one).ended().adopt(two).ended().adopt(three)
    assert killed.go_back().current == killed.adopt(four).go_back().current == killed.give_up().current == "0002"
    assert killed.give_up().ended().go_back().current == "0001"
    assert [version.name for version in killed.adopt(four).ended().kept] == ["0002", "0004"]
    assert [version.name for version in killed.ended().kept] == ["0002", "0003"]


def test_a_record_from_before_knows_what_was_ready(tmp_path: Path) -> None:
    """The upgrade to a Ligand that notes it keeps its way back, and an older Ligand can read what is noted."""
    one, two = (Version(f"000{n}", f"0.{n}", f"digest {n}") for n in (1, 2))
    killed = Installed().adopt(one).ended().adopt(two)
    for found, ready in ((killed, ("0001",)), (killed.ended(), ("0002", "0001"))):
        written = json.loads(found.text())
        assert written["previous"] == "0001"
        del written["ready"]
        (tmp_path / "r").write_text(json.dumps(written))
        assert Installed.load(tmp_path / "r").ready == ready


def test_going_back_that_was_killed_goes_on_back() -> None:
    """The power goes during a rollback; run again it must not put the version in use that the person fled from."""
    one, two = (Version(f"000{n}", f"0.{n}", f"digest {n}") for n in (1, 2))
    upgraded = Installed().adopt(one).ended().adopt(two)
    assert upgraded.go_back().current == "0001"  # also when it was the upgrade that was killed
    killed = upgraded.ended().go_back()
    assert killed.go_back().current == "0001"
    assert killed.ended().go_back().current == "0002"
    assert not killed.adopt(two).going_back


def test_the_record_survives_its_file(tmp_path: Path) -> None:
    """A broken record is named, not guessed at."""
    found = Installed().adopt(Version("0001", "0.1", "x")).ended().adopt(Version("0002", "0.1", "y")).go_back()
    (tmp_path / "r").write_text(found.text())
    assert Installed.load(tmp_path / "r") == found
    (tmp_path / "r").write_text("{")
    with pytest.raises(InstallError, match="cannot be read"):
        Installed.load(tmp_path / "r")


def test_the_check_before_an_upgrade_finds_what_would_break(tmp_path: Path) -> None:
    """A setting that is gone, a manifest that fits no contract, a contract that means something else now."""
    configuration, old = tmp_path / "config", tmp_path / "old"
    (configuration / "daemons.d").mkdir(parents=True)
    (configuration / "experiments").mkdir()
    (configuration / "experiments" / "half.yaml").write_text("about: not yet\n")
    shutil.copytree(PACKAGED, old)
    assert list(faults(configuration, old)) == [], (
        "an experiment is refused for itself, and keeps no daemon from running"
    )
    (configuration / "investigator.yaml").write_text("no_such_setting: 1\n")
    (configuration / "intent_routes.yaml").write_text("no_such_routes: []\n")
    spoken = json.loads((old / "Q_SPOKEN.json").read_text())
    spoken["properties"]["invented"] = {"type": "string"}
    (old / "Q_SPOKEN.json").write_text(json.dumps(spoken))
    (old / "Q_GONE.json").write_text("{}")
    (configuration / "daemons.d" / "mine.yaml").write_text("daemon: mine\ndescription: x\nemits: [Q_NOBODY_KNOWS]\n")
    said = "\n".join(faults(configuration, old))
    for word in (
        "no_such_setting",
        "no_such_routes",
        "Q_SPOKEN: $.properties.invented: removed",
        "Q_GONE: this contract is gone",
        "Q_NOBODY",
    ):
        assert word in said


def test_a_user_who_was_made_is_known_to_a_purge_when_no_daemon_has_them_any_more(tmp_path: Path) -> None:
    """An upgrade that went back, or a daemon that a newer version has not, leaves no account behind for ever."""
    file = tmp_path / "ligand.conf"
    file.write_text('g ligand -\nu ligand-bus - "bus" /x\nu ligand-novel - "new" /x\nm ligand-novel ligand\n')
    for _ in range(2):  # also by what is written next
        file.write_text(with_those_before('g ligand -\nu ligand-bus - "bus" /x\n', file))
        assert file.read_text().endswith(" /x\n# made before: ligand-novel\n")
        assert named(file.read_text()) == {"ligand-bus", "ligand-novel"}
