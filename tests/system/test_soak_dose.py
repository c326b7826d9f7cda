"""A dose of `make soak`: the whole constellation at work for twenty seconds, one consumer away for half of them."""

import pytest

from tests.soak.__main__ import drawing
from tests.soak.plan import Plan
from tests.soak.run import STOPPED, Soak
from tests.support.constellation import constellation


@pytest.mark.slow
def test_nothing_is_lost_and_neither_descriptors_nor_threads_pile_up(tmp_path):
    """What runs for months must not gain a descriptor or a thread with each signal, or lose what a laggard missed."""
    plan = Plan(seconds=20.0, signals_per_s=100.0, intents_per_s=1.0, every_s=2.0)
    with constellation(tmp_path) as home:
        soak = Soak(home, plan)
        samples = list(soak.watch())
    assert soak.faults == []
    assert soak.ends.ended.total() == soak.stories.begun > 0
    assert max(sample.whole.behind for sample in samples) > 0
    warm, late = samples[len(samples) // 4], samples[-1]
    always = [name for name in warm.uses if name in late.uses and name != STOPPED]
    assert set(always) >= {"bus", "intent_router", "investigator", "capability_integrator", "link_a", "tap"}
    for name in always:
        assert late.uses[name].fds <= warm.uses[name].fds + 3, name
        assert late.uses[name].threads <= warm.uses[name].threads + 2, name
    assert drawing(samples, plan).count("<polyline") >= 20
