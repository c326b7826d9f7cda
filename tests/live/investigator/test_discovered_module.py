"""From a discovered module to the registry, by the default rules and with the model: all of it on one bus."""

from __future__ import annotations

from tests.live.investigator.conftest import about, claim
from tests.support.constellation import others
from tests.support.model_server import model_server
from tests.support.raw import attached


def test_a_discovered_module_is_investigated_with_the_model_integrated_and_linked(desk):
    """A person drops a module, and finds it in the registry in the model's words, once, though it is seen twice."""
    home = desk.home
    desk.module("door")
    kept = ("investigator", "model_worker", "policy_engine", "capability_integrator", "semantic_dedup")
    home.config("bus", {"disable": others(*kept), "instances": {"model_worker": ["research"]}})
    home.manifest("watcher", emits=["Q_MODULE_DISCOVERED"])
    with model_server() as server:
        server.usual = about(claim("Watches the front door.", "E1"), capabilities=[claim("watch a camera", "E1")])
        desk.start(server)
        for daemon in kept[2:]:
            home.daemon(daemon).ready()
        facts = {"module_name": "door", "module_path": str(desk.code / "door"), "py_files_count": 1, "has_init": True}
        with attached(home.paths, "watcher") as watcher:
            watcher.emit(*(watcher.make("Q_MODULE_DISCOVERED", facts) for _ in range(2)))
        (integrated,) = home.wait_for("Q_MODULE_INTEGRATED")
        again = desk.ask("door")
        (linked,) = home.wait_for("Q_FINDING_LINKED")
        desk.end(again)
    first, second = home.signals("Q_INVESTIGATION_COMPLETE")
    assert integrated.facts["summary"] == "door: Watches the front door."
    assert (first.facts["method"], second.facts["method"]) == ("model", "model")
    assert linked.facts["duplicate_of"] == first.facts["investigation_id"]
    assert set(integrated.taint) >= {"file", "model"}
    assert len(home.signals("Q_CURIOSITY_INVESTIGATE")) == 2  # one of the rule, one of the person
    assert not home.dead()
