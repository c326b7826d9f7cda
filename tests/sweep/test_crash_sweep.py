"""A power cut at any act on the disk. If this fails, users lose what was acknowledged, or get it twice."""

import random

import pytest

from services.bus import deadfile
from tests.sweep.run import record
from tests.sweep.sweep import Sweep

POINTS = 220
CHECKING = 24


@pytest.fixture
def seed(record_property):
    seed = random.randrange(1 << 32)
    record_property("seed", seed)
    print(f"seed {seed}")
    return seed


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_power_cut_before_any_act_on_the_disk_loses_nothing_and_doubles_nothing(tmp_path, seed):
    """A machine whose plug is pulled comes back with all that was acknowledged, once."""
    sweep = Sweep(record(tmp_path), seed)
    report = sweep.go(sweep.points(POINTS))
    print(report)
    assert report.findings == []


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_the_sweep_finds_the_loss_when_the_journal_is_synced_less(tmp_path, seed, synchronous):
    """A sweep that finds nothing must be able to find something: without a sync before the answer, signals vanish."""
    sweep = Sweep(record(tmp_path, synchronous), seed)
    report = sweep.go(sweep.points(CHECKING), ["undone"])
    assert any("acknowledged, but missing" in words for _, _, words in report.findings)


def test_the_sweep_finds_a_rename_that_was_not_made_sure(tmp_path, seed, monkeypatch):
    """The dead-letter file is replaced when it is pruned; a power cut must not bring the old one back."""
    monkeypatch.setattr(deadfile.LetterFile, "_sync_folder", lambda _: None)
    recorded = record(tmp_path)
    pruned = next(n for n, act in enumerate(recorded.acts) if act.kind == "rename")
    report = Sweep(recorded, seed).go(range(pruned, len(recorded.acts), 7), ["undone"])
    assert report.findings
