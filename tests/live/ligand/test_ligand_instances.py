"""`ligand up` runs the instances of template daemons that bus.yaml lists."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from signals.paths import Paths
from tests.support.commands import ligand, started
from tests.support.constellation import ROOT, others
from tools.ligand.up import packaged_units

MANIFEST = """
daemon: twin
description: says what it heard
instances: true
consumes: [Q_INTENT_READY]
emits: [Q_SPEAK]
"""
OTHERS = f"disable: [{', '.join(others())}]\n"


def test_each_listed_instance_runs_in_the_foreground_too(tmp_path: Path) -> None:
    """What a person has listed under systemd is there without systemd as well, each instance under its own name.

    What they have disabled is not started: the bus would refuse it, and all the others would be stopped for it.
    """
    paths, units = Paths.resolve(tmp_path), tmp_path / "units"
    for folder in (paths.manifests, units):
        folder.mkdir(parents=True)
    (paths.manifests / "twin.yaml").write_text(MANIFEST)
    paths.config_of("bus").write_text(OTHERS + "instances:\n  twin: [one, two_2]\n")
    for name in ("ligand-bus.service", "ligand-investigator.service"):  # of which the second is disabled
        (units / name).write_text((packaged_units() / name).read_text())
    (units / "ligand-twin@.service").write_text(
        "[Unit]\nWants=ligand-bus.service\nAfter=ligand-bus.service\n[Service]\nType=notify\n"
        f"ExecStart={sys.executable} {ROOT / 'tests/support/twin_daemon.py'} %i\n"
    )
    with started("ligand", tmp_path, "up", "--units", str(units)) as process:
        assert process.stdout is not None
        assert any(b"ready: 3 daemons" in line for line in process.stdout)
        told = orjson.loads(ligand(tmp_path, "status", "-o", "json").out)
        assert {one["daemon"]: one["unit"]["state"] for one in told["daemons"]} == {
            "twin@one": "ready", "twin@two_2": "ready",
        }  # fmt: skip
        assert ligand(tmp_path, "down").code == 0
