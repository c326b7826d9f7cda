"""All daemons together on real input. If this fails, an intent does not become what a person asked for."""

import json
import random
import time
from collections import Counter

import pytest
import yaml

from tests.support.constellation import Constellation, Running, constellation

DAEMONS = ("intent_router", "investigator", "capability_integrator")
MODULES = (
    "json",
    "email",
    "csv",
    "html",
    "wave",
    "sqlite3",
    "tomllib",
    "zoneinfo",
    "logging",
    "asyncio",
    "queue",
    "uuid",
)
ENDS = (
    "Q_MODULE_INTEGRATED",
    "Q_INTEGRATION_SKIPPED",
    "Q_INTEGRATION_FAILED",
    "Q_INVESTIGATION_FAILED",
    "Q_INVESTIGATION_TIMEOUT",
)


@pytest.fixture
def home(tmp_path):
    with constellation(tmp_path) as found:
        yield found


def drop(home: Constellation, module: str, name: str) -> None:
    data = {"question": f"What does the {module} module do?", "evidence": [f"module:{module}"]}
    intent = {"type": "discover.module", "id": f"discover.module.{module}", "data": data}
    fresh = home.paths.intents / f".{name}"
    fresh.write_text(json.dumps(intent))
    fresh.rename(home.paths.intents / f"{name}.json")


def registry(home: Constellation) -> dict:
    path = home.paths.state_of("capability_integrator") / "capabilities.yaml"
    return dict(yaml.safe_load(path.read_text())["capabilities"])


def ends(home: Constellation) -> Counter:
    return Counter(signal.correlation_id for signal in home.signals(*ENDS))


def test_a_dropped_intent_becomes_an_integrated_module_with_an_answer_beside_it(home):
    """The main job: a question about a module ends in the registry, disabled, and in an answer file."""
    home.bus()
    for name in DAEMONS:
        home.daemon(name).ready()
    drop(home, "json", "ask")
    [integrated] = home.wait_for("Q_MODULE_INTEGRATED")
    assert integrated.facts["module_name"] == "json"
    assert registry(home)["json"]["enabled"] is False
    for running in reversed(home.running):
        assert running.stop() == 0
    [answer] = (home.paths.intents / "done").glob("*.answer.json")
    assert "json" in answer.read_text()


def test_a_module_that_does_not_exist_ends_as_a_failure_not_as_a_finding(home):
    """A phantom is never integrated, and the person is told so."""
    home.bus()
    for name in DAEMONS:
        home.daemon(name).ready()
    drop(home, "no_such_module_anywhere", "ask")
    [failed] = home.wait_for("Q_INVESTIGATION_FAILED")
    assert failed.facts["reason"] == "phantom"
    assert home.signals("Q_MODULE_INTEGRATED", "Q_INVESTIGATION_COMPLETE") == []


@pytest.mark.timeout(240)
def test_kills_of_every_daemon_leave_one_end_for_each_intent_and_one_entry_for_each_module(home):
    """SIGKILL anywhere, files on disk included: no story without an end, none with two, no module twice."""
    chance = random.Random(11)
    alive: dict[str, Running] = {"bus": home.bus()}
    for name in DAEMONS:
        alive[name] = home.daemon(name).ready()
    for n, module in enumerate(MODULES):
        drop(home, module, f"ask{n}")
        victim = chance.choice(list(alive))
        time.sleep(chance.random() * 0.2)  # the instant of the kill, not readiness
        alive[victim].kill()
        alive[victim] = home.start(victim, "-m", f"services.{victim}").ready()
    home.wait_for("Q_MODULE_INTEGRATED", len(MODULES), timeout_s=90)
    roots = [signal.id for signal in home.signals("Q_INTENT_READY")]
    assert ends(home) == Counter(dict.fromkeys(roots, 1))
    assert sorted(registry(home)) == sorted(MODULES)
    assert home.dead() == []
    records = home.paths.state_of("investigator") / "curiosity_investigations.jsonl"
    kept = [json.loads(line)["investigation_id"] for line in records.read_text().splitlines()]
    assert len(kept) == len(set(kept))
