"""Promotions that wait, and what ends their waiting."""

from __future__ import annotations

from tests.live.advisory_monitor.conftest import Watched

QUICK = {"interval_s": 0.1, "settle_s": 0.5}


def test_what_is_acknowledged_is_reported_no_more(watched: Watched) -> None:
    """A promotion that was taken up or turned down would start cycle after cycle."""
    home = watched.home
    watched.config(promotions=QUICK)
    watched.start()
    watched.promote("p-1", "p-2")
    home.wait_for("Q_PROMOTIONS_DETECTED", unacknowledged_count=2)
    for name in ("p-1", "p-2"):
        watched.emit("Q_PROMOTION_ACKNOWLEDGED", promotion_id=name, verdict="accepted", reason="tried")
    (ended,) = home.wait_for("Q_PROMOTIONS_DETECTED", unacknowledged_count=0)
    assert (ended.facts["promotion_count"], ended.facts["promotion_ids"]) == (2, [])
    acknowledged = {signal.id for signal in home.signals("Q_PROMOTION_ACKNOWLEDGED")}
    assert {ended.causation_id, *ended.also_caused_by} <= acknowledged
    home.running[-1].kill()
    watched.start()
    watched.promote("p-3")
    (third,) = home.wait_for("Q_PROMOTIONS_DETECTED", promotion_count=3)
    assert third.facts["promotion_ids"] == ["p-3"]
