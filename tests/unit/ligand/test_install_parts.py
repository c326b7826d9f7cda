"""The parts of an installation that need no systemd: unit files, settings, the record, the check, grants."""

from __future__ import annotations

import json
import os
import pwd
import re
import resource
import shutil
import sys
import tempfile
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from pwd import struct_passwd

import click
import pytest
import yaml

from services.runtime import config
from services.runtime.manifest import Manifest, packaged
from signals.catalogue import PACKAGED
from tests.support.required import root
from tools.ligand.accounts import named, with_those_before
from tools.ligand.changing import told
from tools.ligand.check_version import faults
from tools.ligand.doubtful import closed_above, doubts
from tools.ligand.environment import Source, build, interpreter
from tools.ligand.granted import Grant, State, drop_in_for
from tools.ligand.grants import Grants
from tools.ligand.install import where_it_is
from tools.ligand.installed import Installed, Version
from tools.ligand.layout import InstallError, Layout, with_targets
from tools.ligand.manager import Manager
from tools.ligand.settings import template
from tools.ligand.steps import Steps
from tools.ligand.unit_files import rendered, services

ROOT = Path(__file__).resolve().parents[3]
UNITS = ROOT / "systemd"
STATES: tuple[State, ...] = ("open", "pending", "closing")


@pytest.fixture
def user(tmp_path) -> Layout:
    return Layout.for_user(environ={"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")})


def test_the_units_name_the_folder_that_was_chosen() -> None:
    """With --prefix the daemons start from there, not from /opt."""
    units = rendered(UNITS, Layout.for_system(Path("/srv/ligand")), 252)
    assert "ExecStart=/srv/ligand/venv/bin/python -m services.bus" in units["ligand-bus.service"]
    assert not [name for name, text in units.items() if "/opt/" in text]


def test_a_home_folder_is_no_place_for_the_machines_ligand() -> None:
    """Daemons under ProtectHome=yes could not start; the person hears it before anything is made."""
    with pytest.raises(InstallError, match="home folder"):
        Layout.for_system(Path("/home/alice/ligand"))


@pytest.mark.parametrize("prefix", ["/", "/srv/a;b", "/srv/a\nb", "/srv/\udcff", "/dev/shm/ligand", "/tmp/ligand"])
def test_a_place_that_cannot_be_named_or_does_not_last_is_no_prefix(prefix: str) -> None:
    """What a unit cannot say, or is gone after a boot, is told before anything is made, and not by a traceback."""
    with pytest.raises(InstallError, match=r"Choose another --prefix|cannot be the prefix"):
        Layout.for_system(Path(prefix))


def test_a_second_installation_elsewhere_is_refused_and_the_first_one_found(tmp_path: Path) -> None:
    """Two programs for one set of units: the older would lie there unused, and a purge of the wrong one would hurt."""
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}

    def layout(prefix: Path | None) -> Layout:
        return Layout.for_user(prefix, environ)

    first, other = tmp_path / "my own 100% Ligand", tmp_path / "other"
    installed = layout(first)
    installed.units.mkdir(parents=True)
    for unit, text in rendered(UNITS, installed, 252).items():
        (installed.units / unit).write_text(text)
    assert where_it_is(layout, other).prefix == other  # whose program is gone hinders nobody
    first.mkdir()
    installed.record.write_text(Installed().text())
    assert where_it_is(layout, None).prefix == first
    assert where_it_is(layout, first).prefix == first
    with pytest.raises(InstallError, match=r"installed in .*/my own 100% Ligand, (.|\n)*--prefix \S*/other"):
        where_it_is(layout, other)


def test_newer_keys_come_with_newer_systemds_only() -> None:
    """An older systemd would warn at every start, or not start a unit of a type that it does not know."""
    layout = Layout.for_system()
    old, middle, new = (set(rendered(UNITS, layout, version)) for version in (252, 253, 254))
    assert not [name for name in old if "since" in name]
    assert "ligand-bus.service.d/10-since-253-reload.conf" in middle
    assert not [name for name in middle if "since-254" in name]
    assert "ligand-investigator.service.d/10-since-254-restart.conf" in new
    assert not [name for name in new if "-failure" in name and "since" in name]


def test_a_users_units_ask_nothing_of_a_users_manager_that_it_cannot_do(user) -> None:
    """Without root there are no other users and no folders of the system; the units must still start."""
    units = rendered(UNITS, user, 252)
    for name, text in units.items():
        for key in (
            "User=",
            "SupplementaryGroups=",
            "StateDirectory=",
            "PrivateUsers=",
            "ProtectHome=",
            "RuntimeDirectory=",
        ):
            assert f"\n{key}" not in text, name
    assert "\nNoNewPrivileges=yes" in units["ligand-bus.service"]
    assert "\nWatchdogSec=30" in units["ligand-bus.service"]
    assert "WantedBy=default.target" in units["ligand.target"]
    assert services(units) == services(rendered(UNITS, Layout.for_system(), 252))


@pytest.mark.parametrize("path", list(packaged()), ids=lambda path: path.parent.name)
def test_the_configuration_that_is_written_is_the_defaults(path: Path, tmp_path: Path) -> None:
    """A file full of comments changes nothing, and with every # taken away it is still right."""
    manifest = Manifest.load(path)
    file = tmp_path / f"{manifest.daemon}.yaml"
    text = template(manifest, file, "reload it")
    assert yaml.safe_load(text) is None
    file.write_text(text)
    defaults = config.load(file, manifest.config, daemon=manifest.daemon)
    settings = re.sub(r"^#(?! )(?=[\w -])", "", text, flags=re.MULTILINE)
    opened = re.sub(r"^#(?=  +\S)", "", settings, flags=re.MULTILINE)
    file.write_text(opened)
    assert config.load(file, manifest.config, daemon=manifest.daemon) == defaults


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


def test_what_is_removed_whole_is_no_link_and_may_be_nested_beyond_measure(tmp_path: Path) -> None:
    """A purge does not run into a person's disk behind a link, and says so; a runaway script does not end it."""
    said: list[str] = []
    steps = Steps(said.append)
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    steps.remove_tree(tmp_path / "link")
    assert said == [
        f"{tmp_path}/link is a link to {tmp_path}/disk: it stays, and what it leads to; remove them yourself"
    ]
    (tmp_path / "deep").mkdir()
    here = os.open(tmp_path / "deep", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    steps.remove_tree(tmp_path / "deep")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link"]


def test_a_full_disk_is_told_with_the_file_that_had_no_room(tmp_path: Path) -> None:
    """Who reads why a grant was not recorded is sent to the right disk, and what was recorded before is whole."""
    file = tmp_path / "grants.json"
    file.write_text("[]")
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        with pytest.raises(click.ClickException, match=f"{file}: File too large. Mend that"), told():
            Steps(lambda _: None).write(file, "[1]")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))
    assert file.read_text() == "[]"


def test_a_dry_run_touches_nothing(tmp_path: Path) -> None:
    """Every step is said with `would`, and none is done."""
    said: list[str] = []
    steps = Steps(said.append, dry=True)
    (tmp_path / "there").write_text("x")
    steps.write(tmp_path / "new", "text")
    steps.link(tmp_path / "link", tmp_path)
    steps.folder(tmp_path / "folder")
    steps.remove(tmp_path / "there")
    steps.run("false")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert len(said) == 5
    assert all(line.startswith("would ") for line in said)


def test_a_persons_own_file_is_not_replaced_by_a_link(tmp_path: Path) -> None:
    """Somebody else's program called `ligand` stays where it is."""
    (tmp_path / "ligand").write_text("mine")
    with pytest.raises(InstallError, match="is no link"):
        Steps(lambda _: None).link(tmp_path / "ligand", tmp_path)
    assert (tmp_path / "ligand").read_text() == "mine"


def test_what_is_no_ligand_is_not_installed(tmp_path: Path) -> None:
    """A wrong --from ends at once, with what would be right."""
    with pytest.raises(InstallError, match="neither Ligand's source tree nor a wheel"), Source.of(tmp_path):
        pass


def test_what_ends_a_build_leaves_no_half_of_one(tmp_path: Path) -> None:
    """Where the disk is full, the part of a version that was made does not go on filling it."""
    python, folder = tmp_path / "python", tmp_path / "versions" / "0001"
    in_the_way = f"#!/bin/sh\nmkdir -p {folder}/requirements-build.lock\n"  # of the first file that is ours
    python.write_text(in_the_way)
    python.chmod(0o755)
    with pytest.raises(OSError, match=r"requirements-build\.lock"):
        build(folder, Source(ROOT), python)
    assert not folder.exists()


def test_a_user_who_was_made_is_known_to_a_purge_when_no_daemon_has_them_any_more(tmp_path: Path) -> None:
    """An upgrade that went back, or a daemon that a newer version has not, leaves no account behind for ever."""
    file = tmp_path / "ligand.conf"
    file.write_text('g ligand -\nu ligand-bus - "bus" /x\nu ligand-novel - "new" /x\nm ligand-novel ligand\n')
    for _ in range(2):  # also by what is written next
        file.write_text(with_those_before('g ligand -\nu ligand-bus - "bus" /x\n', file))
        assert file.read_text().endswith(" /x\n# made before: ligand-novel\n")
        assert named(file.read_text()) == {"ligand-bus", "ligand-novel"}


def test_a_python_without_what_an_installation_needs_is_named_with_what_to_do(tmp_path: Path, monkeypatch) -> None:
    """On a fresh Debian the one package that is missing is said, not that there is no Python."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "ensurepip.py").write_text("raise ImportError('not installed')\n")
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}/without" exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    layout = Layout.for_user(environ={"HOME": str(tmp_path)})
    minor = f"3.{sys.version_info.minor}"
    with pytest.raises(InstallError, match=f"{python}: it has no ensurepip; .*apt install python{minor}-venv"):
        interpreter(layout, python)
    python.write_text("#!/bin/sh\necho 3.10\n")
    with pytest.raises(InstallError, match=r"it is 3\.10, and Ligand needs 3\.11 or newer"):
        interpreter(layout, python)
    with pytest.raises(InstallError, match="none: it is not there"):
        interpreter(layout, tmp_path / "none")
    monkeypatch.chdir(Path(sys.executable).parent)
    assert interpreter(layout, Path(Path(sys.executable).name)) == Path(sys.executable)


def test_a_wheel_brings_the_locks_it_was_tested_with(tmp_path: Path) -> None:
    """An upgrade from a wheel installs what that version was tested with, not what this one was."""
    wheel = tmp_path / "ligand-9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("tools/locks/requirements.lock", "pinned==1\n")
    with Source.of(wheel) as source, Source.of(wheel) as again:
        assert source.lock("requirements.lock") == "pinned==1\n"
        with pytest.raises(InstallError, match=r"has no requirements-build\.lock"):
            source.lock("requirements-build.lock")
        assert source.digest(Path("/usr/bin/python3")) == again.digest(Path("/usr/bin/python3"))


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
