"""A real bus against a simple model of it. If this fails, some order of ordinary acts loses, doubles or misplaces."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from signals import wire
from tests.chaos.run import BUS
from tests.model.machine import BusMachine
from tests.support.constellation import Running
from tests.support.faulty import command

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large, HealthCheck.large_base_example]
PROFILES = {
    "default": settings(max_examples=4, stateful_step_count=30, phases=[Phase.generate]),
    "long": settings(max_examples=300, stateful_step_count=60, phases=[Phase.generate, Phase.shrink]),
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_bus_does_what_a_simple_model_says_whatever_the_order_of_acts(record_property):
    """Emit, settle, fail, reject, replay, pause, prune, attach and kill in any order: nothing is lost or doubled."""
    number = int(os.environ.get("HYPOTHESIS_SEED", random.randrange(1 << 32)))
    profile = os.environ.get("HYPOTHESIS_PROFILE", "default")
    record_property("seed", number)
    print(f"seed {number}: HYPOTHESIS_SEED={number} HYPOTHESIS_PROFILE={profile} plays it again")
    examples = int(os.environ.get("HYPOTHESIS_EXAMPLES", PROFILES[profile].max_examples))
    how = settings(
        PROFILES[profile],
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=SLOW,
        verbosity=Verbosity.normal,
    )
    BusMachine.tally.clear()
    run_state_machine_as_test(seed(number)(BusMachine), settings=how)
    print(", ".join(f"{count:,} {what}" for what, count in BusMachine.tally.most_common()))


class Broken(BusMachine):
    """The model beside a bus with a fault."""

    def __init__(self, fault: str | None) -> None:
        super().__init__()
        self.fault = fault

    def serve(self) -> Running:
        return self.home.start("bus", *(command(self.fault) if self.fault else BUS)).ready()

    def tried(self, acts: Callable[[Broken], None]) -> None:
        self.start(count=4)
        try:
            acts(self)
            self.everything_ends()
        finally:
            self.clear()

    def overtaken(self) -> None:
        """Of three signals in hand the last is settled first; then the bus is killed."""
        for _ in range(3):
            self.given("watcher")
        known = self.known["watcher"]
        last = known.in_hand[max(known.in_hand)]
        client, (header, emits) = known.client, self.answer_of("watcher", last)
        assert client is not None
        client.call(wire.SETTLE, header)
        self.settled("watcher", last, header, emits)
        self.kill_the_bus(keeping=True)

    def worked_off(self) -> None:
        """Two of four signals are settled; then the bus is killed."""
        self.work_off("eater")
        self.kill_the_bus(keeping=False)


@pytest.mark.parametrize(
    ("fault", "acts"),
    [
        ("forget_acknowledgements", Broken.worked_off),
        ("forget_what_stands_aside", Broken.overtaken),
        ("deliver_twice", Broken.worked_off),
    ],
)
def test_the_model_disagrees_with_a_bus_that_forgets_or_repeats(fault, acts):
    """A model that agrees with any bus proves nothing."""
    with pytest.raises(AssertionError):
        Broken(fault).tried(acts)


@pytest.mark.parametrize("acts", [Broken.worked_off, Broken.overtaken])
def test_of_the_same_acts_a_right_bus_is_not_accused(acts):
    """Else what the model says of a broken one would say nothing."""
    Broken(None).tried(acts)
