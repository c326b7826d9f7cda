"""What the doctor says of an installation: whole, broken off, being changed, or with parts that are gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tools.ligand.changing import changing
from tools.ligand.checks.finding import Finding
from tools.ligand.checks.installation import judged
from tools.ligand.installed import Installed, Version
from tools.ligand.layout import Layout

ONE, TWO = Version("0001", "1.0.0", "a"), Version("0002", "2.0.0", "b")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An installation of which every part is there."""
    found = Layout.for_user(environ={"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)})
    for folder in (found.units, found.versions / "0001" / "bin"):
        folder.mkdir(parents=True)
    (found.versions / "0001" / "bin" / "python").touch()
    found.link.symlink_to("versions/0001")
    found.signpost.write_text(f"ExecStart={found.link}/bin/python -m services.bus\n")
    record(found, Installed().adopt(ONE).ended())
    return found


def record(layout: Layout, found: Installed) -> None:
    layout.record.write_text(replace(found, files=(str(layout.signpost),)).text())


def told(layout: Layout) -> Finding:
    (found,) = judged(layout)
    return found


def test_what_is_whole_is_well_and_nothing_is_said_where_nothing_is(layout: Layout, tmp_path: Path) -> None:
    """A doctor that cries wolf is not listened to."""
    assert told(layout) == Finding("installation", "ok", f"Ligand 1.0.0 in {layout.prefix}")
    assert list(judged(replace(layout, prefix=tmp_path / "none", units=tmp_path / "none"))) == []


def test_a_change_that_was_broken_off_is_told_with_both_ways_on(layout: Layout) -> None:
    """Two versions may run at once: whoever looks hears it, and how to end it."""
    upgrade = Installed().adopt(ONE).ended().adopt(TWO)
    record(layout, upgrade)
    assert told(layout).state == "mend"
    assert "change to Ligand 2.0.0" in told(layout).found
    assert "`ligand install --user` as before. Or go back to 1.0.0: `ligand rollback --user`" in told(layout).todo
    record(layout, upgrade.ended().go_back())
    assert "going back to Ligand 1.0.0" in told(layout).found
    assert told(layout).todo.endswith("go on: `ligand rollback --user`.")
    record(layout, Installed())
    assert "--purge" in told(layout).todo
    with changing(layout.lock):
        assert told(layout).state == "note"


@pytest.mark.parametrize("part", ["unit", "link", "python", "record"])
def test_a_part_that_is_gone_is_named(layout: Layout, part: str) -> None:
    """Somebody removed a file, or an uninstallation was killed: which, and what puts it right."""
    named = {
        "unit": layout.signpost,
        "link": layout.link,
        "python": layout.link / "bin/python",
        "record": layout.record,
    }
    named[part].unlink()
    said = told(layout)
    assert said.state == "mend"
    assert str(layout.signpost if part == "record" else named[part]) in said.found
    assert "`ligand install --user`" in said.todo


def test_a_record_that_cannot_be_read_is_named(layout: Layout) -> None:
    """Half a file after a power cut is said, not guessed at."""
    layout.record.write_text("{")
    assert told(layout).state == "mend"
    assert str(layout.record) in told(layout).found
