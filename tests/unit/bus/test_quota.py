"""The quota of root signals. If this fails, a loop outside the stories runs away, or what counts it does."""

import pytest

from services.bus.quota import MOST_BUCKETS, Quota
from signals.errors import QuotaError


def test_sources_that_come_and_go_do_not_add_up():
    """A program that emits under a new name each time would make the bus larger for ever."""
    quota = Quota(1e6, 5)
    for n in range(2 * MOST_BUCKETS):
        quota.take(f"person@{n}", 1)
    assert len(quota._buckets) <= MOST_BUCKETS + 1


def test_who_has_used_up_its_burst_is_not_forgotten_among_many_others():
    """Else a runaway loop would only have to emit under many names."""
    quota = Quota(0.001, 2)
    quota.take("busy", 2)
    for n in range(MOST_BUCKETS + 1):
        quota.take(f"person@{n}", 1)
    with pytest.raises(QuotaError, match="busy emits more than"):
        quota.take("busy", 1)
