"""The rule by which D-REAM's deployer may reload services, and the setting that goes with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from services.runtime.manifest import Manifest, packaged
from tools.ligand import reloading
from tools.ligand.installed import Installed
from tools.ligand.layout import InstallError, Layout
from tools.ligand.settings import template
from tools.ligand.steps import Steps

(MANIFEST,) = (Manifest.load(file) for file in packaged() if file.parent.name == reloading.DAEMON)


@pytest.mark.parametrize(
    "name",
    ["", "-x", "a b", "../x", "x;y", 'x"]; polkit', "x\n", "web@.service", "x.timer", "x.target", "é", "x" * 249],
)
def test_what_is_no_service_gets_no_rule(name: str) -> None:
    """A slip of the hand, or a crafted name, neither opens another unit nor becomes part of a program of root's."""
    with pytest.raises(InstallError, match="no service"):
        reloading.units_of([name])


def test_services_are_named_whole() -> None:
    """systemd tells polkit the whole name; a person may leave the kind out, as with systemctl."""
    asked = ["nginx", "web@1.service", "nginx.service", "org.example.web", "a-b_c"]
    found = ("a-b_c.service", "nginx.service", "org.example.web.service", "web@1.service")
    assert reloading.units_of(asked) == found
    assert reloading.units_of(["nothing"]) == ()
    assert reloading.units_of([]) is None


def test_the_setting_follows_and_a_persons_own_is_theirs(tmp_path: Path) -> None:
    """What the installation wrote it keeps up to date, comments and all; what a person has set it only speaks of."""
    layout = replace(Layout.for_user(environ={"HOME": str(tmp_path)}), config=tmp_path)
    file = tmp_path / "winner_deployer.yaml"
    said: list[str] = []

    def write(before: tuple[str, ...], units: tuple[str, ...]) -> bool:
        return reloading.write_setting(layout, Steps(said.append), MANIFEST, before, units)

    whole = template(MANIFEST, file, "reload it") + "# my remark\n"
    file.write_text(whole)
    assert write((), ("a.service", "b@1.service"))
    assert yaml.safe_load(file.read_text()) == {"reloadable_units": ["a.service", "b@1.service"]}
    assert not write((), ("a.service", "b@1.service"))  # killed before it was recorded, and run again
    assert write(("a.service", "b@1.service"), ())
    assert file.read_text() == whole
    mine = "reloadable_units:\n  - mine\n"
    file.write_text(mine)
    said.clear()
    assert not write((), ("mine.service",))
    assert said == []
    assert not write((), ("a.service",))
    assert file.read_text() == mine
    assert 'Say there: reloadable_units: ["a.service"]' in said[0]


def test_a_dry_run_shows_the_rule_and_writes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person sees which file would come, and where nothing would heed it, before root writes it."""
    monkeypatch.setattr(reloading, "RULE", tmp_path / "rules.d" / "50-ligand-reload.rules")
    monkeypatch.setattr(reloading, "POLKIT", tmp_path / "none")
    said: list[str] = []
    reloading.write_rule(Steps(said.append, dry=True), ["a.service"], "ligand-winner-deployer")
    assert said == [
        f"would write {reloading.RULE}",
        "ligand-winner-deployer may reload a.service",
        f"polkit is not installed here: {reloading.RULE} counts once it is",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_rule_that_is_somebody_elses_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of that name that a person wrote is neither overwritten nor, later, removed; one's own needs none."""
    monkeypatch.setattr(reloading, "RULE", tmp_path / "50-ligand-reload.rules")
    reloading.RULE.write_text("// mine")
    with pytest.raises(InstallError, match="is not Ligand's"):
        reloading.require_free(Layout.for_system(), ())
    reloading.require_free(Layout.for_system(), [str(reloading.RULE)])
    with pytest.raises(InstallError, match="is for --system"):
        reloading.require_free(Layout.for_user(environ={"HOME": str(tmp_path)}), ())


def test_the_record_knows_the_units(tmp_path: Path) -> None:
    """An upgrade that does not name them again leaves the rule as it is."""
    found = replace(Installed(), reloads=("a.service",))
    (tmp_path / "r").write_text(found.text())
    assert Installed.load(tmp_path / "r") == found
