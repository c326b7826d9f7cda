"""An upgrade that fails in the middle, without systemd: its manager only notes what it is told."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tools.ligand import environment
from tools.ligand.environment import Source
from tools.ligand.installer import Installer
from tools.ligand.layout import InstallError, Layout
from tools.ligand.manager import Manager
from tools.ligand.steps import Steps

ROOT = Path(__file__).resolve().parents[3]


class Deaf(Manager):
    """A service manager that does as it is told at once, and runs nothing."""

    def __init__(self) -> None:
        super().__init__(system=False)

    def systemctl(self, *arguments: str) -> str:
        return "[]" if "list-units" in arguments else "\n"

    def version(self) -> int:
        return 252

    def settle(self, units, timeout_s):
        return []


def built(folder: Path, source: Source, python: Path) -> None:
    """An environment with the units of the source; its Python says that all is well."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text("#!/bin/sh\necho 0.1.0\n")
    (folder / "bin" / "python").chmod(0o755)
    for name in ("signals", "services"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(source.path / "systemd", folder / "systemd")


@pytest.fixture
def layout(tmp_path, monkeypatch) -> Layout:
    monkeypatch.setattr(environment, "build", built)
    return Layout.for_user(environ={"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")})


def tree(folder: Path, description: str) -> Source:
    """A source whose unit of the bus, and one unit more, say so."""
    shutil.copytree(ROOT / "systemd", folder / "systemd")
    for name in ("pyproject.toml", "requirements.lock", "requirements-build.lock"):
        shutil.copy(ROOT / name, folder)
    bus = folder / "systemd" / "ligand-bus.service"
    bus.write_text(bus.read_text() + f"# {description}\n")
    (folder / "systemd" / f"ligand-z-{description}.service").write_text("[Service]\n")
    return Source(folder)


def test_whatever_fails_in_the_middle_the_old_version_is_put_back(layout, tmp_path) -> None:
    """A disk that is full while units are written must not leave units of two versions."""
    python = Path("/usr/bin/python3")
    Installer(layout, Steps(lambda _: None), Deaf()).install(tree(tmp_path / "one", "one"), python)
    (layout.units / ".ligand-z-two.service.new").mkdir()  # in the way of a unit that is written late
    second = tree(tmp_path / "two", "two")
    with pytest.raises(InstallError, match=r"Gone back to Ligand 0\.1\.0(.|\n)*ligand-z-two"):
        Installer(layout, Steps(lambda _: None), Deaf()).install(second, python)
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
