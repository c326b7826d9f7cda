"""A power cut at any act on the disk. If this fails, users lose what was acknowledged, or get it twice."""

import random
import subprocess
import sys

import pytest

POINTS = 220
CHECKING = 24


def swept(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What a sweep in a process of its own says; it tells its seed."""
    command = [sys.executable, "-m", "tests.sweep", *arguments, "--seed", str(random.randrange(1 << 32))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode in (0, 1), done.stderr
    return done


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_power_cut_before_any_act_on_the_disk_loses_nothing_and_doubles_nothing():
    """A machine whose plug is pulled comes back with all that was acknowledged, once."""
    done = swept("--points", str(POINTS))
    assert "recoveries, checked" in done.stdout
    assert "0 findings" in done.stdout.splitlines()


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_the_sweep_finds_the_loss_when_the_journal_is_synced_less(synchronous):
    """A sweep that finds nothing must be able to find something: without a sync before the answer, signals vanish."""
    done = swept("--points", str(CHECKING), "--variants", "undone", "--synchronous", synchronous)
    assert "acknowledged, but missing" in done.stdout


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("forget_acknowledgements", "acknowledged, but missing: settle"),
        ("commit_by_halves", "done by halves: settle"),
        ("lose_deadlines", "has 0 answers and time-outs"),
        ("rename_unsynced", "dead letters in the table"),
    ],
)
def test_the_sweep_finds_a_bus_that_forgets(fault, words):
    """An acknowledgement, the other half of one, a deadline, a new file's name: each must be missed when it is."""
    done = swept("--fault", fault, "--points", str(CHECKING), "--variants", "undone")
    assert done.returncode == 1
    assert words in done.stdout
