"""A D-REAM cycle under the hardened unit. What the sandbox forbids shows only here."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(600)]
EXPERIMENT = """\
about: where the top is
target: {file: tuned.yaml, format: yaml, keys: {x: x}}
search_space: {x: {type: float, low: 0.0, high: 1.0}}
evaluate:
  command: [/usr/bin/python3, -S, top.py]
  repeats: 1
  memory_mib: 64
  cases: {tuning: [a], held_out: [c, d, e, f, g]}
objective: {metrics: {score: maximize}}
budget: {trials: 2}
"""
SCRIPT = """\
import json, os, resource
params = json.load(open(0))
assert resource.getrlimit(resource.RLIMIT_DATA)[0] == 64 << 20
assert "NOTIFY_SOCKET" not in os.environ
print(json.dumps({"score": 1 - (params["x"] - 0.3) ** 2}))
"""
PROMOTION = (
    '{"schema": 1, "id": "mine", "created_at": "2026-01-01T00:00:00Z", "experiment": "top", "params": {"x": 0.3}}'
)


@pytest.fixture
def left_as_it_was(ligand):
    """What the test writes is gone afterwards: the machine is shared."""
    yield
    written = ("/etc/ligand/tuned.yaml", "/etc/ligand/experiments", "/var/lib/ligand/promotions/mine.json")
    ligand.machine.run("rm", "-rf", *written)


def test_a_persons_proposal_is_tried_and_proven_in_the_sandbox(ligand, left_as_it_was):
    """Alice drops a promotion and asks for a cycle; evaluations are bounded, and she can look at what came of it."""
    machine = ligand.machine
    machine.run("mkdir", "-p", "/etc/ligand/experiments")
    machine.write("/etc/ligand/tuned.yaml", "x: 0.9\n")
    machine.write("/etc/ligand/experiments/top.yaml", EXPERIMENT)
    machine.write("/etc/ligand/experiments/top.py", SCRIPT)
    place = "cat > /var/lib/ligand/promotions/.new && mv /var/lib/ligand/promotions/.new /var/lib/ligand/promotions/$0"
    machine.run("sh", "-c", place, "mine.json", text=PROMOTION, user="alice")
    wanted = {"reason": "asked", "topic": None, "experiment": "top"}
    assert ligand.emit("Q_DREAM_WANTED", wanted, "person@alice", user="alice").startswith("seq ")

    (mine,) = ligand.signals("Q_DREAM_WANTED")

    def answers() -> list[dict[str, Any]]:
        ends = ligand.signals("Q_DREAM_COMPLETE", "Q_DREAM_FAILED")  # the monitor may have it tried as well
        return [one for one in ends if one["correlation_id"] == mine["id"]]

    machine.until("the cycle has ended", lambda: bool(answers()), 90.0)
    (end,) = answers()
    assert end["signal"] == "Q_DREAM_COMPLETE", end["facts"]
    assert end["facts"]["winners"][0]["params"] == {"x": 0.3}
    judged = [one["facts"] for one in ligand.signals("Q_PROMOTION_ACKNOWLEDGED")]
    assert [one["verdict"] for one in judged if one["promotion_id"] == "mine"] == ["accepted"]
    record = f"/var/lib/ligand/dream_runner/cycles/{end['facts']['cycle_id']}/top.json"
    assert '"winner"' in machine.run("cat", record, user="alice").stdout
    assert machine.run("cat", record, user="mallory", check=False).returncode
