"""What sensors need beside an installation: fetched whole, taken along by an upgrade, the old one kept on failure."""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from services.runtime.extras import folder_of
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
        self.wanted: tuple[str, ...] = ()

    def lock(self, line: str) -> None:
        (self.source.path / "requirements-gaze.lock").write_text(line)

    def version(self, name: str) -> None:
        """Put a version in use, as an installation does."""
        python = self.layout.versions / name / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        self.layout.link.unlink(missing_ok=True)
        self.layout.link.symlink_to(Path("versions") / name)

    def upgrade(self, name: str, *asked: str, dry: bool = False) -> list[str]:
        if not dry:
            self.version(name)
        self.wanted = extras.wanted(self.wanted, asked)
        return extras.bring(self.layout.versions / name, Steps(self.said.append, dry=dry), self.source, self.wanted)

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
    machine.lock(wheel(tmp_path, "1"))
    machine.upgrade("0001")
    assert not machine.module.exists()  # nobody asked for it
    machine.upgrade("0001", "gaze", dry=True)
    assert machine.said == [f"would install the extra gaze into {machine.layout.versions}/0001/extras/gaze"]
    assert machine.upgrade("0001", "gaze") == []
    first = machine.module.stat()

    machine.upgrade("0002")  # the same lock: nothing is fetched again
    assert machine.module.stat().st_ino == first.st_ino
    machine.lock(wheel(tmp_path, "2"))
    assert machine.upgrade("0002") == ["gaze"]  # what runs with the old one is told
    assert machine.module.read_text() == "version = '2'\n"

    machine.lock("engine==3 --hash=sha256:" + 64 * "0" + "\n")
    with pytest.raises(InstallError, match=r"The extra gaze could not be fetched, and nothing else was changed"):
        machine.upgrade("0002")
    assert machine.module.read_text() == "version = '2'\n"
    assert [one.name for one in machine.module.parent.parent.iterdir()] == ["gaze"]


def test_what_is_wanted_no_more_goes(machine, tmp_path) -> None:
    """`--with` adds to what there is, and `--with nothing` takes it all back, whichever sense it was for."""
    assert extras.wanted(["audio"], ["gaze"]) == ("audio", "gaze")
    assert extras.wanted(["audio", "gaze"], []) == ("audio", "gaze")
    assert extras.wanted(["audio", "gaze"], ["nothing", "gaze"]) == ("gaze",)
    machine.lock(wheel(tmp_path, "1"))
    machine.upgrade("0001", "gaze")
    assert machine.upgrade("0001", "nothing") == ["gaze"]
    assert not machine.module.parent.exists()
    assert machine.upgrade("0001", "nothing") == []
