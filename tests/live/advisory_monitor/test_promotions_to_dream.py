"""From dropped promotions to a D-REAM cycle, with the monitor and the policy engine as they are shipped."""

from __future__ import annotations

from tests.live.advisory_monitor.conftest import Watched
from tests.support.constellation import Constellation, Running

QUICK = {"interval_s": 0.1, "settle_s": 0.5}


def everything(home: Constellation) -> list[Running]:
    """Bus, policy engine and monitor, ready."""
    started = [home.bus(), home.daemon("policy_engine"), home.daemon("advisory_monitor")]
    for running in started[1:]:
        running.ready()
    return started


def test_three_promotions_start_one_dream_whatever_is_killed(watched: Watched) -> None:
    """A person who drops three promotions would get three cycles, one a minute, or none after a crash."""
    home = watched.home
    watched.config(promotions=QUICK)
    home.daemon("policy_engine").ready()
    watched.start()
    watched.promote("p-1", "p-2", "p-3")
    home.running[-1].kill()  # before anything is told
    watched.start()
    (detected,) = home.wait_for("Q_PROMOTIONS_DETECTED")
    assert (detected.facts["promotion_count"], detected.facts["unacknowledged_count"]) == (3, 3)
    assert sorted(detected.facts["promotion_ids"]) == ["p-1", "p-2", "p-3"]
    for running in home.running:  # while the rule waits, or has just fired
        if running.process.poll() is None:
            running.kill()
    again = everything(home)
    (dream,) = home.wait_for("Q_DREAM_TRIGGER")
    assert dream.correlation_id == detected.id
    for running in reversed(again):
        running.kill()
    everything(home)
    watched.promote("p-4")
    _, fourth = home.wait_for("Q_PROMOTIONS_DETECTED", 2)
    (decided,) = home.wait_for("Q_POLICY_DECIDED", trigger_id=fourth.id)
    assert decided.facts["outcome"] == "suppressed"
    assert len(home.signals("Q_PROMOTIONS_DETECTED")) == 2
    assert len(home.signals("Q_DREAM_TRIGGER")) == 1


def test_what_is_acknowledged_is_reported_no_more(watched: Watched) -> None:
    """A promotion that was taken up or turned down would start cycle after cycle."""
    home = watched.home
    watched.config(promotions=QUICK)
    watched.start()
    watched.promote("p-1", "p-2")
    home.wait_for("Q_PROMOTIONS_DETECTED")
    for name in ("p-1", "p-2"):
        watched.emit("Q_PROMOTION_ACKNOWLEDGED", promotion_id=name, verdict="accepted", reason="tried")
    _, ended = home.wait_for("Q_PROMOTIONS_DETECTED", 2)
    assert (ended.facts["promotion_count"], ended.facts["unacknowledged_count"]) == (2, 0)
    assert ended.facts["promotion_ids"] == []
    acknowledged = {signal.id for signal in home.signals("Q_PROMOTION_ACKNOWLEDGED")}
    assert {ended.causation_id, *ended.also_caused_by} <= acknowledged
    home.running[-1].kill()
    watched.start()
    watched.promote("p-3")
    third = home.wait_for("Q_PROMOTIONS_DETECTED", 3)[-1]
    assert third.facts["promotion_ids"] == ["p-3"]
