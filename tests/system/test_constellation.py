"""All daemons together on real input. If this fails, an intent does not become what a person asked for."""

import pytest
import yaml

from tests.support.constellation import Constellation, constellation
from tests.support.load import PACKAGED, drop


@pytest.fixture
def home(tmp_path):
    with constellation(tmp_path) as found:
        yield found


def registry(home: Constellation) -> dict:
    path = home.paths.state_of("capability_integrator") / "capabilities.yaml"
    return dict(yaml.safe_load(path.read_text())["capabilities"])


def test_a_dropped_intent_becomes_an_integrated_module_with_an_answer_beside_it(home):
    """The main job: a question about a module ends in the registry, disabled, and in an answer file."""
    home.bus()
    for name in PACKAGED:
        home.daemon(name).ready()
    drop(home.paths.intents, "json", "ask")
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
    for name in PACKAGED:
        home.daemon(name).ready()
    drop(home.paths.intents, "no_such_module_anywhere", "ask")
    [failed] = home.wait_for("Q_INVESTIGATION_FAILED")
    assert failed.facts["reason"] == "phantom"
    assert home.signals("Q_MODULE_INTEGRATED", "Q_INVESTIGATION_COMPLETE") == []
