"""An upgrade that fails in the middle, without systemd: its manager only notes what it is told."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from services.runtime.manifest import Manifest
from tools.ligand import environment, manager
from tools.ligand.checks.finding import ok
from tools.ligand.checks.installation import judged
from tools.ligand.environment import Source
from tools.ligand.installed import Installed
from tools.ligand.installer import Installer
from tools.ligand.layout import InstallError, Layout
from tools.ligand.manager import Manager, Trouble
from tools.ligand.steps import Steps
from tools.ligand.uninstaller import Uninstaller

ROOT = Path(__file__).resolve().parents[3]
BROKEN = Trouble("ligand-bus.service", "lame")


class Deaf(Manager):
    """A service manager that does as it is told at once, and runs nothing."""

    def __init__(self, *settles: Trouble | BaseException) -> None:
        super().__init__(system=False)
        self._settles = [*settles]

    def systemctl(self, *arguments: str) -> str:
        return "[]" if "list-units" in arguments else "\n"

    def version(self) -> int:
        return 252

    def settle(self, units, timeout_s, *, restarted=True):
        """What goes wrong first, second, and so on; afterwards nothing."""
        found = self._settles.pop(0) if self._settles else None
        if isinstance(found, BaseException):
            raise found
        return [found] if found else []


class Linking(Deaf):
    """One that keeps the links of what is enabled, and will not stop what has no file, as systemd will not."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self._units = layout.units
        self.wanted = layout.units / "ligand.target.wants"
        self.wanted.mkdir(parents=True, exist_ok=True)

    def systemctl(self, *arguments: str) -> str:
        verb, *words = arguments
        names = [word for word in words if word.startswith("ligand")]
        if verb == "stop" and not all(map(self._has, names)):
            raise InstallError(f"Unit {names} not loaded.")
        if verb == "show" and "--property=ActiveState" in words:
            return "active\n" if self._has(names[0]) else "inactive\n"
        if verb == "show" and "--property=Wants" in words:
            return " ".join(link.name for link in self.wanted.iterdir())
        for name in names if verb == "enable" else ():
            link = self.wanted / name
            link.unlink(missing_ok=True)
            link.symlink_to(self._units / name)
        if verb == "disable":
            for link in self.wanted.iterdir():
                link.unlink()
        return super().systemctl(*arguments)

    def _has(self, unit: str) -> bool:
        name, at, _ = unit.partition("@")
        return (self._units / (f"{name}@.service" if at else unit)).exists()


class Killed(Steps):
    """Steps of a command that is killed before the n-th, counted from 0."""

    def __init__(self, before: int) -> None:
        super().__init__(lambda _: None)
        self._count, self._before = itertools.count(), before

    def do(self, what, action):
        if next(self._count) == self._before:
            raise SystemExit(137)  # which nothing of ours catches
        super().do(what, action)


def built(folder: Path, source: Source, python: Path) -> None:
    """An environment with the units of the source; its Python says that all is well."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text("#!/bin/sh\necho 0.1.0\n")
    (folder / "bin" / "python").chmod(0o755)
    for name in ("signals", "services"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(source.path / "systemd", folder / "systemd")


read_once = functools.cache(Manifest.load)
"""Every environment here has the same manifests."""


@pytest.fixture
def layout(tmp_path, monkeypatch) -> Layout:
    monkeypatch.setattr(environment, "build", built)
    monkeypatch.setattr(Manifest, "load", lambda file: read_once(file.resolve()))
    return Layout.for_user(environ={"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")})


def tree(folder: Path, description: str) -> Source:
    """A source whose unit of the bus, and one unit more, say so."""
    shutil.copytree(ROOT / "systemd", folder / "systemd")
    for name in ("pyproject.toml", "requirements.lock", "requirements-build.lock"):
        shutil.copy(ROOT / name, folder)
    bus = folder / "systemd" / "ligand-bus.service"
    bus.write_text(bus.read_text() + f"# {description}\n")
    unit = folder / "systemd" / f"ligand-z-{description}.service"
    unit.write_text("[Service]\n[Install]\nWantedBy=ligand.target\n")
    return Source(folder)


def installer(layout: Layout, *settles: Trouble | BaseException) -> Installer:
    return Installer(layout, Steps(lambda _: None), Deaf(*settles))


def install(layout: Layout, source: Source, *settles: Trouble | BaseException) -> None:
    installer(layout, *settles).install(source, Path("/usr/bin/python3"))


def in_use(layout: Layout) -> tuple[str, list[str]]:
    """What the units would run, and what is there; the record says the same."""
    name = layout.link.readlink().name
    record = Installed.load(layout.record)
    there = sorted(folder.name for folder in layout.versions.iterdir())
    assert (record.current, sorted(one.name for one in record.kept)) == (name, there)
    return name, there


def test_whatever_fails_in_the_middle_the_old_version_is_put_back(layout, tmp_path) -> None:
    """A disk that is full while units are written must not leave units of two versions."""
    install(layout, tree(tmp_path / "one", "one"))
    (layout.units / ".ligand-z-two.service.new").mkdir()  # in the way of a unit that is written late
    second = tree(tmp_path / "two", "two")
    with pytest.raises(InstallError, match=r"Gone back to Ligand 0\.1\.0(.|\n)*ligand-z-two"):
        install(layout, second)
    assert (layout.units / "ligand-bus.service").read_text().endswith("# one\n")
    assert layout.link.readlink() == Path("versions/0001")
    assert [folder.name for folder in layout.versions.iterdir()] == ["0001"]


def test_nobody_listening_any_more_does_not_stop_a_change(tmp_path) -> None:
    """`ligand rollback | head -1` must not end between two versions."""
    read, write = os.pipe()
    os.close(read)

    def say(text: str) -> None:
        os.write(write, text.encode())

    steps = Steps(say)
    for name in ("one", "two"):
        steps.write(tmp_path / name, "text")
    os.close(write)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.parametrize("then", ["two", "three"])
def test_an_upgrade_that_was_killed_and_then_fails_goes_back_to_what_ran(layout, tmp_path, then) -> None:
    """Power lost, upgrade run again, and it does not work: what is put back is a version that has worked."""
    install(layout, tree(tmp_path / "zero", "zero"))
    install(layout, tree(tmp_path / "one", "one"))
    sources = {name: tree(tmp_path / name, name) for name in ("two", "three")}
    with pytest.raises(KeyboardInterrupt):
        install(layout, sources["two"], KeyboardInterrupt())
    assert layout.link.readlink() == Path("versions/0003")
    with pytest.raises(InstallError, match=r"Gone back to Ligand 0\.1\.0(.|\n)*lame"):
        install(layout, sources[then], BROKEN)
    assert in_use(layout) == ("0002", ["0001", "0002"])
    assert (layout.units / "ligand-bus.service").read_text().endswith("# one\n")
    installer(layout).rollback()
    assert in_use(layout) == ("0001", ["0001", "0002"])


def test_a_rollback_to_what_does_not_start_returns_to_what_ran(layout, tmp_path) -> None:
    """Going back is a change like any other: where it does not work, the person keeps what did."""
    install(layout, tree(tmp_path / "one", "one"))
    install(layout, tree(tmp_path / "two", "two"))
    with pytest.raises(InstallError, match=r"Gone back to Ligand 0\.1\.0(.|\n)*lame"):
        installer(layout, BROKEN).rollback()
    assert in_use(layout) == ("0002", ["0001", "0002"])
    with pytest.raises(KeyboardInterrupt):
        installer(layout, BROKEN, KeyboardInterrupt()).rollback()  # killed on the way to 0002
    installer(layout).rollback()
    assert in_use(layout) == ("0002", ["0001", "0002"])
    installer(layout).rollback()
    assert in_use(layout) == ("0001", ["0001", "0002"])


def test_where_neither_version_works_both_can_still_be_tried(layout, tmp_path) -> None:
    """A broken configuration stops every version; the message says so, and no version becomes unreachable."""
    install(layout, tree(tmp_path / "one", "one"))
    install(layout, tree(tmp_path / "two", "two"))
    with pytest.raises(InstallError, match=r"did not work here(.|\n)*does so no more"):
        installer(layout, BROKEN, BROKEN).rollback()
    installer(layout).rollback()
    assert in_use(layout) == ("0001", ["0001", "0002"])


def test_what_somebody_else_has_in_the_prefix_is_neither_built_over_nor_purged(layout, tmp_path):
    """A slip of the hand in --prefix costs nobody a folder that happens to be called `versions`."""
    theirs = layout.versions / "1" / "thesis"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    with pytest.raises(InstallError, match="versions is there already and is not Ligand's"):
        install(layout, tree(tmp_path / "a", "a"))
    Uninstaller(replace(layout, share=tmp_path / "none"), Steps(lambda _: None), Deaf()).uninstall(purge=True)
    assert theirs.read_text() == "theirs"


def test_a_build_that_fails_leaves_no_claim(layout, tmp_path, monkeypatch):
    """After a first installation that could not be made its place is free again, for Ligand or anything else."""

    def fails(folder: Path, source: Source, python: Path) -> None:
        raise InstallError("no room")

    monkeypatch.setattr(environment, "build", fails)
    with pytest.raises(InstallError, match="no room"):
        install(layout, tree(tmp_path / "a", "a"))
    assert not layout.prefix.exists()


def of_one_version(layout: Layout, version: str, name: str) -> None:
    """Whether there is that version, all of it and nothing of the other one."""
    assert in_use(layout)[0] == version
    units = {file.name for file in layout.units.iterdir() if file.name.startswith("ligand-z-")}
    wanted = {link.name for link in (layout.units / "ligand.target.wants").iterdir() if "-z-" in link.name}
    assert units == wanted == {f"ligand-z-{name}.service"}
    assert (layout.units / "ligand-bus.service").read_text().endswith(f"# {name}\n")
    assert list(judged(layout)) == [ok("installation", f"Ligand 0.1.0 in {layout.prefix}")]


def killed(layout: Layout, before: int, change) -> bool:
    """Whether the change came as far as that step, where it was killed."""
    try:
        change(Installer(layout, Killed(before), Linking(layout)))
    except SystemExit:
        return True
    return False


def test_a_change_to_other_daemons_killed_before_any_step_ends_as_one_version(layout, tmp_path):
    """The power may go at any moment of an upgrade, or of going back: run again it ends, as the doctor says."""
    sources = {name: tree(tmp_path / name, name) for name in ("one", "two")}

    def upgrade(found: Installer) -> None:
        found.install(sources["two"], Path("/usr/bin/python3"))

    Installer(layout, Steps(lambda _: None), Linking(layout)).install(sources["one"], Path("/usr/bin/python3"))
    told = set()
    for step in itertools.count():
        ways = [killed(layout, step, upgrade)]
        told |= {finding.found for finding in judged(layout) if finding.state == "mend"}
        upgrade(Installer(layout, Steps(lambda _: None), Linking(layout)))
        of_one_version(layout, in_use(layout)[0], "two")
        ways.append(killed(layout, step, Installer.rollback))
        told |= {finding.found for finding in judged(layout) if finding.state == "mend"}
        if str(layout.link.readlink()) != "versions/0001" or Installed.load(layout.record).unfinished:
            Installer(layout, Steps(lambda _: None), Linking(layout)).rollback()
        of_one_version(layout, "0001", "one")
        if not any(ways):
            break
    assert step > 10
    assert {text.split(" Ligand ")[0] for text in told} == {"the change to", "going back to"}


def test_uninstalling_killed_before_any_step_can_be_run_again(layout, tmp_path):
    """The power goes while Ligand is removed from a folder of one's choice: the same command removes the rest."""
    elsewhere = replace(layout, prefix=tmp_path / "elsewhere", share=tmp_path / "share")
    source = tree(tmp_path / "one", "one")
    Installer(elsewhere, Steps(lambda _: None), Linking(elsewhere)).install(source, Path("/usr/bin/python3"))
    for step in itertools.count():
        found = replace(layout, prefix=layout.installed_prefix() or layout.prefix, share=elsewhere.share)
        try:
            Uninstaller(found, Killed(step), Linking(found)).uninstall(purge=True)
        except SystemExit:
            continue
        break
    assert step > 5
    Linking(layout).wanted.rmdir()
    assert [*elsewhere.prefix.glob("*")] == []
    assert not [path for path in tmp_path.rglob("*ligand*") if not path.is_relative_to(source.path)]


def test_who_is_switched_off_stays_so_when_a_version_without_them_is_left_again(layout, tmp_path):
    """A camera that a person has switched off is not on again because an upgrade did not work."""
    one, two = (tree(tmp_path / name, name) for name in ("one", "two"))
    Installer(layout, Steps(lambda _: None), Linking(layout)).install(one, Path("/usr/bin/python3"))
    (Linking(layout).wanted / "ligand-z-one.service").unlink()
    Installer(layout, Steps(lambda _: None), Linking(layout)).install(two, Path("/usr/bin/python3"))
    for there in ([], ["ligand-z-two.service"], []):
        Installer(layout, Steps(lambda _: None), Linking(layout)).rollback()
        assert [link.name for link in Linking(layout).wanted.iterdir() if "-z-" in link.name] == there
    Linking(layout).systemctl("enable", "ligand-z-one.service")
    for there in (["ligand-z-two.service"], ["ligand-z-one.service"]):
        Installer(layout, Steps(lambda _: None), Linking(layout)).rollback()
        assert [link.name for link in Linking(layout).wanted.iterdir() if "-z-" in link.name] == there


class Started(Manager):
    """A service manager whose one unit became ready so many seconds ago."""

    def __init__(self, ago_s: float) -> None:
        super().__init__(system=False)
        self.asked = 0
        self._since = time.monotonic() - ago_s

    def states(self, units):
        self.asked += 1
        said = {"Id": "a", "ActiveState": "active", "SubState": "running", "NRestarts": "0"}
        return [{**said, "ActiveEnterTimestampMonotonic": str(int(self._since * 1e6))}]


@pytest.mark.parametrize(("ago_s", "restarted", "waits"), [(60, False, False), (60, True, True), (0, False, True)])
def test_only_what_may_just_have_started_is_watched(monkeypatch, ago_s, restarted, waits):
    """Installing again takes no three seconds for daemons that have run for weeks; one told to restart is watched."""
    monkeypatch.setattr(manager, "SETTLED_S", 0.2)
    monkeypatch.setattr(manager, "POLL_S", 0.05)
    found = Started(ago_s)
    assert found.settle(["a"], 5, restarted=restarted) == []
    assert (found.asked > 2) is waits
