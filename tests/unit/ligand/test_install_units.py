"""Where an installation goes, and what it writes there: units, settings, the prefix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from services.runtime import config
from services.runtime.manifest import Manifest, packaged
from tools.ligand.install import where_it_is
from tools.ligand.installed import Installed
from tools.ligand.layout import InstallError, Layout
from tools.ligand.settings import template
from tools.ligand.unit_files import rendered, services

UNITS = Path(__file__).resolve().parents[3] / "systemd"


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
