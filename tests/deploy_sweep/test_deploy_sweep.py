"""A kill or a power cut at any point of a deployment. If this fails, a person finds a broken file, or a lie."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy_sweep.power import PowerSweep
from tests.deploy_sweep.sweep import STORIES
from tests.support.required import program

ROOT = Path(__file__).parents[2]
DOSE = ("--first", "0.08", "--again", "0.006")


@pytest.mark.slow
def test_a_kill_before_any_line_leaves_old_or_new_bytes_and_one_true_end(record_property) -> None:
    """A share of the lines of deployments and recoveries, drawn anew each time; `make deploy-sweep` takes all."""
    seed = random.randrange(1 << 32)
    record_property("seed", seed)
    command = [sys.executable, "-m", "tests.deploy_sweep", *DOSE, "--seed", str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_the_sweep_finds_what_is_written_before_the_ledger_knows() -> None:
    """A sweep that finds nothing must be able to find something."""
    broken = (
        "from services.winner_deployer.ledger import Ledger\n"
        "note = Ledger.note\n"
        "Ledger.note = lambda self, *records: None if records[0]['step'] == 'writing' else note(self, *records)\n"
        "from tests.deploy_sweep.sweep import Sweep, STORIES\n"
        "import tests.deploy_sweep.sweep as sweep\n"
        "sweep.STORIES = STORIES[:1]\n"
        "raise SystemExit(1 if Sweep(0.1, 0.0, 1).go().findings else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", broken], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr[-2000:]


def test_a_power_cut_after_any_act_on_the_disk_leaves_old_or_new_bytes_and_one_true_end() -> None:
    """Each system call of a deployment that changes the disk is recorded; what was not synced by then is lost."""
    program("strace")
    report = PowerSweep().go()
    assert not report.findings, str(report)
    assert report.states > 20, str(report)


UNSYNCED = """
import os, stat
real = os.fsync
def fsync(handle):
    handle = handle if isinstance(handle, int) else handle.fileno()
    if stat.{kind}(os.fstat(handle).st_mode):
        return
    real(handle)
os.fsync = fsync
"""


@pytest.mark.parametrize("kind", ["S_ISREG", "S_ISDIR"])
def test_the_power_cuts_find_what_is_not_synced(kind: str) -> None:
    """Without a sync of the files, or of their folders, the sweep must find what a power cut makes of it."""
    program("strace")
    assert PowerSweep(UNSYNCED.format(kind=kind)).go(STORIES[:1]).findings
