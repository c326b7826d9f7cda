"""Engines of sensors beside an installation: fetched whole, taken along by an upgrade, the old one kept on failure."""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from services.runtime.extras import folder_of, installed
from tools.ligand import extras
from tools.ligand.environment import Source
from tools.ligand.layout import InstallError, Layout
from tools.ligand.steps import Steps


def wheel(folder: Path, version: str) -> str:
    """Write a package with one module; its line in a lock."""
    files = {
        "engine.py": f"version = {version!r}\n",
        f"engine-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: engine\nVersion: {version}\n",
        f"engine-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"engine-{version}.dist-info/RECORD"
    file = folder / f"engine-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as made:
        lines = ""
        for name, text in files.items():
            made.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines += f"{name},sha256={digest},{len(text)}\n"
        made.writestr(record, f"{lines}{record},,\n")
    return f"engine=={version} --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


class Machine:
    """A prefix with versions, each an environment, and a source with a lock."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout.for_user(environ={"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run")})
        self.source = Source(folder / "tree")
        self.source.path.mkdir()
        self.said: list[str] = []

    def lock(self, line: str) -> None:
        (self.source.path / "requirements-gaze.lock").write_text(line)

    def version(self, name: str) -> None:
        """Put a version in use, as an installation does."""
        python = self.layout.versions / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        self.layout.link.unlink(missing_ok=True)
        self.layout.link.symlink_to(Path("versions") / name)

    def upgrade(self, name: str, *asked: str, dry: bool = False) -> None:
        before = extras.in_use(self.layout)
        if not dry:
            self.version(name)
        extras.bring(self.layout, Steps(self.said.append, dry=dry), self.source, before, asked)

    @property
    def module(self) -> Path:
        return folder_of("gaze", self.layout.link) / "engine.py"


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Machine:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return Machine(tmp_path)


def test_an_engine_that_was_asked_for_stays_through_upgrades_and_failures(machine, tmp_path) -> None:
    """Who asked for the camera's engine once must not lose it by an upgrade, nor by a download that fails."""
    machine.version("0001")
    machine.lock(wheel(tmp_path, "1"))
    machine.upgrade("0001-again")
    assert installed(machine.layout.link) == []  # nobody asked for it
    machine.upgrade("0002", "gaze", dry=True)
    assert machine.said == [f"would install the engine of gaze_sensor into {machine.layout.link}/extras/gaze"]
    machine.upgrade("0002", "gaze")
    first = machine.module.stat()
    assert installed(machine.layout.link) == ["gaze"]

    machine.upgrade("0003")  # the same lock: nothing is fetched again
    assert machine.module.stat().st_ino == first.st_ino
    machine.lock(wheel(tmp_path, "2"))
    machine.upgrade("0004")
    assert machine.module.read_text() == "version = '2'\n"

    machine.version("0005")  # killed before it brought the engine along
    machine.upgrade("0006")
    assert machine.module.read_text() == "version = '2'\n"

    machine.lock("engine==3 --hash=sha256:" + 64 * "0" + "\n")
    with pytest.raises(InstallError, match=r"The rest of Ligand is not touched"):
        extras.make(machine.module.parent, machine.source)
    assert machine.module.read_text() == "version = '2'\n"
    assert [one.name for one in machine.module.parent.parent.iterdir()] == ["gaze"]
