"""A real bus against a simple model of it. If this fails, some order of ordinary acts loses, doubles or misplaces."""

import os
import random

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import BusMachine

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large, HealthCheck.large_base_example]
PROFILES = {
    "default": settings(max_examples=4, stateful_step_count=30, phases=[Phase.generate]),
    "long": settings(max_examples=300, stateful_step_count=60, phases=[Phase.generate, Phase.shrink]),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_bus_does_what_a_simple_model_says_whatever_the_order_of_acts(record_property):
    """Emit, settle, fail, reject, replay, pause, prune, attach and kill in any order: nothing is lost or doubled."""
    number = int(os.environ.get("HYPOTHESIS_SEED", random.randrange(1 << 32)))
    profile = os.environ.get("HYPOTHESIS_PROFILE", "default")
    record_property("seed", number)
    print(f"seed {number}: HYPOTHESIS_SEED={number} HYPOTHESIS_PROFILE={profile} plays it again")
    how = settings(
        PROFILES[profile], deadline=None, database=None, suppress_health_check=SLOW, verbosity=Verbosity.normal
    )
    BusMachine.tally.clear()
    run_state_machine_as_test(seed(number)(BusMachine), settings=how)
    print(", ".join(f"{count:,} {what}" for what, count in BusMachine.tally.most_common()))
