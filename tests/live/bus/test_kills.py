"""Whatever is killed or frozen, whenever: every story ends once. If this fails, users lose work or get it twice."""

import random

import pytest

from tests.chaos.decisions import Decision, decide
from tests.chaos.judging import faults
from tests.chaos.run import Chaos
from tests.chaos.work import Work
from tests.support.constellation import constellation
from tests.support.faulty import command
from tests.support.load import chain, packaged


@pytest.mark.parametrize(("in_flight", "kills"), [(1, 10), (16, 100)])
def test_every_story_ends_exactly_once_whatever_is_killed(tmp_path, in_flight, kills, record_property):
    """A dose of `make chaos`: a story without an end is lost work, one with two ends is work done twice."""
    seed = random.randrange(1 << 32)
    record_property("seed", seed)
    print(f"seed {seed}")
    with constellation(tmp_path) as home:
        whole = in_flight == 1  # the daemons of intents are as they are; the chain is tried both ways
        commands = {**(packaged() if whole else {}), **chain(home, in_flight)}
        chaos = Chaos(home, commands, Work(home, intents=whole))
        chaos.begin()
        try:
            chaos.carry_out(decide(seed, kills, ["bus", *commands], outage_s=0.5))
        finally:
            chaos.work.end()
        chaos.finish()
        assert faults(chaos, counted=in_flight == 1) == [], chaos.rest
        assert chaos.done.total() >= kills + 2


@pytest.mark.parametrize("fault", ["deliver_twice", "forget_acknowledgements"])
def test_a_bus_that_gives_a_signal_twice_is_found(tmp_path, fault):
    """A chaos that finds nothing in a bus that doubles work proves nothing."""
    with constellation(tmp_path) as home:
        commands = chain(home)
        chaos = Chaos(home, commands, Work(home, intents=False), command(fault))
        chaos.begin()
        try:
            chaos.carry_out([Decision("kill", "bus", 40, 0.0)] * 2)
        finally:
            chaos.work.end()
        chaos.finish()
        assert any("counted" in each for each in faults(chaos, counted=True)), chaos.rest


def test_a_seed_draws_the_same_decisions_again():
    """Who finds a loss by `make chaos` could not look for it a second time."""
    names = ["bus", "a", "b"]
    first, again, other = (decide(seed, 50, names, 1.0) for seed in (3, 3, 4))
    assert first == again != other
    assert sum(decision.act == "kill" for decision in first) == 50
    assert [decision.frozen for decision in first if decision.act == "outage"] == [True, False]
