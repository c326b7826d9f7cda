"""Rates, delays, pacing and counts, without a bus."""

from __future__ import annotations

from itertools import islice

from tools.signal_tap.board import Counts
from tools.signal_tap.measures import Flows, delays, summary
from tools.signal_tap.pacing import paced
from tools.signal_tap.types import rate_text

CAUSE = "01935b0e-6a70-7cc3-98c4-dc0c0c07398f"
EFFECT = "01935b0e-6a70-8aa3-98c4-dc0c0c073900"


def at(second: float) -> str:
    return f"2026-03-01T08:00:{second:09.6f}Z"


def test_rates_and_gaps() -> None:
    """Four signals over three seconds are one a second, however they lie in it."""
    flows = Flows()
    for second in (0, 0.5, 1, 3):
        flows.add({"signal": "Q_A", "received_at": at(second)}, 100)
    (row,) = [flow.rate() for flow in flows]
    assert (row["count"], row["rate_per_s"], row["gap_min_s"], row["gap_max_s"]) == (4, 1.0, 0.5, 2.0)
    flows.add({"signal": "Q_B", "received_at": "not a time"}, 5)
    flows.add({"signal": "Q_B", "received_at": at(3)}, 50)
    assert [flow.name for flow in flows] == ["Q_A", "Q_B", "*"]
    assert [flow.size()["bytes_per_s"] for flow in flows] == [133, None, 150]


def test_delays_end_with_the_last_thing_the_handler_emitted() -> None:
    """What was asked while handling, and what a timer said long after, are not its end."""
    cause = {"signal": "Q_A", "id": CAUSE, "timestamp": at(0), "received_at": at(0.25)}
    effects = [
        {"id": EFFECT, "source": "a", "received_at": at(1)},
        {"id": EFFECT[:-1] + "1", "source": "a", "received_at": at(2)},
        {"id": "01999b0e-6a70-7aa3-98c4-dc0c0c073900", "source": "a", "received_at": at(50)},
        {"id": EFFECT[:-1] + "2", "source": "bus", "received_at": at(40)},
    ]
    (found,) = delays([cause], {CAUSE: effects})
    assert found.to_bus == [0.25]
    assert found.handled == {"a": [1.75]}
    assert summary([1.0, 2.0, 3.0, 4.0]) == {"count": 4, "p50_s": 2.0, "p90_s": 4.0, "p99_s": 4.0, "max_s": 4.0}


def test_a_pace_is_kept_on_average_and_to_the_count() -> None:
    """Who falls behind catches up, and nobody emits one too many."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds + 0.013  # the system is late, as always

    done = list(paced(100, 100.0, 50, lambda: now[0], sleep))
    assert sum(done) == 100
    assert 0.98 <= now[0] <= 1.02
    assert list(paced(7, None, 3, lambda: 0.0, sleep)) == [3, 3, 1]
    assert list(islice(paced(None, None, 3, lambda: 0.0, sleep), 2)) == [3, 3]


def test_counts_give_rates_and_survive_a_restart_of_the_bus() -> None:
    """Counting anew must not look like a negative rate."""
    counts = Counts()
    assert counts.rates() == {}
    for second in range(30):
        counts.note(float(second), {"Q_A": second * 5})
    assert counts.rates() == {"Q_A": 5.0}
    counts.note(30.0, {"Q_A": 1})
    assert counts.rates() == {}
    counts.note(31.0, {"Q_A": 3, "Q_B": 1})
    assert counts.rates() == {"Q_A": 2.0, "Q_B": 1.0}


def test_rates_read_well() -> None:
    """From many a second to one in a day."""
    assert [rate_text(rate) for rate in (0, 20_000, 5.25, 0.5)] == ["-", "20,000/s", "5.2/s", "1 in 2.0 s"]
