"""A dose of `make fuzz`. If this fails, some bytes stop the bus or a daemon, or end a command in a traceback."""

import pytest

from tests.fuzz.__main__ import DOORS, through

INPUTS = {
    "contract": 60,
    "manifest": 80,
    "config": 150,
    "routes": 120,
    "recording": 300,
    "bus": 300,
    "mirror": 200,
    "drops": 60,
}
MOST = 1500
SEED = 20


@pytest.mark.parametrize("door", DOORS)
def test_whatever_comes_is_refused_by_name_or_taken(door, monkeypatch):
    """Each input is a refusal of our own family or a valid effect; nothing else."""
    monkeypatch.setattr("tests.fuzz.door.CHECKS", 2)
    tally, _ = through(door, INPUTS.get(door, MOST), SEED)
    assert {where: finding.error for where, finding in tally.findings.items()} == {}
    assert tally.inputs == INPUTS.get(door, MOST)
