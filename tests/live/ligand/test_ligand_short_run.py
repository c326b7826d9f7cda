"""A home whose path is too long for sockets has them in a short folder elsewhere, which does not stay behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.ligand.test_ligand_down import up
from tests.support.commands import ligand
from tests.support.constellation import Constellation, constellation, others


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Constellation]:
    """A home far down, nothing of which runs yet."""
    with constellation(tmp_path / ("x" * 60) / ("y" * 60)) as found:
        found.config("bus", {"disable": others()})
        assert not found.paths.run.is_relative_to(found.home)
        try:
            yield found
        finally:
            found.close()
            shutil.rmtree(found.paths.run, ignore_errors=True)


def remains(far: Constellation) -> list[Path]:
    """What still tells of the short folder."""
    return [path for path in (far.paths.run, far.home / "run") if path.exists()]


def test_a_bus_alone_takes_its_short_folder_away(far: Constellation, tmp_path: Path) -> None:
    """Each home that was ever tried would leave a folder in /tmp, and a killed bus could not be started again."""
    far.bus().kill()
    assert remains(far) == [far.paths.run, far.home / "run"]
    assert (far.home / "run" / "runtime_folder").read_text() == f"{far.paths.run}\n"
    again = far.bus()
    with far.emitter() as emitter:
        assert emitter.query("status")["head"]
    refused = far.start("bus", "-m", "services.bus")
    assert refused.process.wait(60) == 78
    assert far.paths.bus_socket.exists(), "who was refused took away what it did not make"
    assert again.stop() == 0
    assert remains(far) == []
    backup = tmp_path / "backup"
    assert ligand(far.home, "journal", "backup", str(backup)).code == 0
    assert ligand(far.home, "journal", "restore", str(backup), "--yes").code == 0
    assert remains(far) == []
    for wrong in ({"quota": 7}, {"disable": ["nobody"]}):
        far.config("bus", wrong)
        assert far.start("bus", "-m", "services.bus").process.wait(60) == 78
        assert remains(far) == []


def test_up_takes_its_short_folder_away(far: Constellation) -> None:
    """`ligand down` is the end of it, also after a crash; the bus, which ends first, leaves what `up` still needs."""
    with up(far.home) as process:
        process.kill()
        process.wait(60)
    assert far.paths.run.exists()
    with up(far.home) as process:
        done = ligand(far.home, "down")
        assert (done.code, done.err) == (0, "")
        assert process.wait(60) == 0
    assert remains(far) == []
    assert ligand(far.home, "down").text == "nothing runs here\n"
