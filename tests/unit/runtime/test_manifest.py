"""Manifests. If this fails, the bus and a daemon disagree on what the daemon may do."""

import pytest
import yaml

from services.runtime.manifest import MAIN, Manifest, load_all, packaged, with_overlays
from signals.catalogue import Catalogue
from signals.errors import ManifestError

GREETER = {"daemon": "greeter", "description": "Greets", "consumes": ["Q_USER_VOICE"], "emits": ["Q_SPEAK"]}


def parsed(**fields) -> Manifest:
    return Manifest.parse({**GREETER, **fields})


def test_every_packaged_manifest_fits_the_catalogue():
    """Ligand's own daemons start."""
    catalogue = Catalogue.load()
    found = [Manifest.load(path) for path in packaged()]
    assert {manifest.daemon for manifest in found} >= {"bus", "intent_router", "investigator", "capability_integrator"}
    for manifest in found:
        manifest.check(catalogue)


def test_defaults_are_the_careful_ones():
    """One signal at a time, five minutes, from now on."""
    manifest = parsed()
    assert (manifest.lanes, manifest.max_handling_s, manifest.start) == ({MAIN: 1}, 300.0, "new")
    assert {"Q_SPEAK", "Q_HEARTBEAT", "Q_DAEMON_READY"} <= manifest.may_emit


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"emits": ["Q_*"]}, "emits"),
        ({"consumes": ["speak"]}, "consumes"),
        ({"consumes": [{"signal": "Q_SPEAK", "lane": "fast"}]}, "fast"),
        ({"in_flight": 0}, "in_flight"),
        ({"daemon": "Greeter"}, "daemon"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"start": "yesterday"}, "start"),
    ],
)
def test_what_is_wrong_is_named(fields, named):
    """A typing error is found before anything starts."""
    with pytest.raises(ManifestError, match=named):
        parsed(**fields)


def test_a_signal_without_a_contract_is_refused():
    """Nobody waits for a signal that cannot exist."""
    with pytest.raises(ManifestError, match="Q_NO_SUCH"):
        parsed(emits=["Q_NO_SUCH"]).check(Catalogue.load())


@pytest.mark.parametrize("where", [{"urgency": "maybe"}, {"urgenci": "now"}, {"text": 5}])
def test_a_condition_that_nothing_can_meet_is_refused(where):
    """A daemon with a slip there would run, be ready, and never hear anything."""
    with pytest.raises(ManifestError, match="would never be heard"):
        parsed(consumes=[{"signal": "Q_SPEAK", "where": where}]).check(Catalogue.load())
    parsed(consumes=[{"signal": "Q_SPEAK", "where": {"urgency": ["maybe", "now"]}}]).check(Catalogue.load())


def test_conditions_decide_by_facts_and_lanes_come_first():
    """Urgent work has a lane of its own, whatever the order in the file."""
    manifest = parsed(
        consumes=[
            "Q_CURIOSITY_INVESTIGATE",
            {"signal": "Q_CURIOSITY_INVESTIGATE", "where": {"priority": ["critical", "high"]}, "lane": "fast"},
        ],
        lanes={"fast": {"in_flight": 2}},
    )
    first, second = manifest.subscriptions(Catalogue.load()["Q_CURIOSITY_INVESTIGATE"])
    assert (first.lane, second.lane) == ("fast", MAIN)
    assert first.matches({"priority": "high"})
    assert not first.matches({"priority": "low"})
    assert not first.matches({})


def test_terminal_and_live_narrow_a_glob():
    """`Q_*` with `terminal` means the ends of stories, and a glob never means live signals."""
    catalogue = Catalogue.load()
    everything, ends = parsed(consumes=["Q_*"]), parsed(consumes=[{"signal": "Q_*", "terminal": True}])
    taken = {name for name, contract in catalogue.items() if everything.subscriptions(contract)}
    assert "Q_HEARTBEAT" not in taken
    assert "Q_INVESTIGATION_COMPLETE" in taken
    assert not ends.subscriptions(catalogue["Q_INVESTIGATION_COMPLETE"])
    assert ends.subscriptions(catalogue["Q_MODULE_INTEGRATED"])


def test_an_instance_gets_its_own_name_in_conditions():
    """model_worker@research hears the requests for research alone."""
    template = parsed(instances=True, consumes=[{"signal": "Q_MODEL_REQUEST", "where": {"role": "$instance"}}])
    [line] = template.instance("research").consumes
    assert line.matches({"role": "research"})
    assert not line.matches({"role": "primary"})


def write(folder, name, content):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(yaml.safe_dump(content))


def test_an_overlay_adds_emits_and_nothing_else(tmp_path):
    """A user's route may send a user's signal, and a file in daemons.d cannot take a daemon's place."""
    write(tmp_path, "more.yaml", {"overlay": "intent_router", "emits": ["Q_SPEAK"]})
    assert "Q_SPEAK" in load_all(tmp_path)["intent_router"].emits
    [path] = [path for path in packaged() if path.parent.name == "intent_router"]
    assert "Q_SPEAK" in with_overlays(Manifest.load(path), tmp_path).emits
    write(tmp_path, "more.yaml", {"overlay": "intent_router", "consumes": ["Q_SPEAK"]})
    with pytest.raises(ManifestError, match="only add emits"):
        load_all(tmp_path)


def test_a_name_cannot_be_taken_over(tmp_path):
    """A user's manifest does not redefine a daemon of Ligand's."""
    write(tmp_path, "mine.yaml", {**GREETER, "daemon": "investigator"})
    with pytest.raises(ManifestError, match="already described"):
        load_all(tmp_path)


def test_a_template_runs_as_the_bus_lists_it_or_else_as_it_says_itself():
    """A person who lists nothing gets the usual instances; who lists one gets that one."""
    template = parsed(instances=["primary", "research"], consumes=[])
    assert list(template.sessions({})) == ["greeter@primary", "greeter@research"]
    assert list(template.sessions({"greeter": ["night"]})) == ["greeter@night"]
    assert list(template.sessions({"greeter": []})) == []
    assert list(parsed(instances=True).sessions({})) == []
    assert list(parsed().sessions({"greeter": ["night"]})) == ["greeter"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("daemon: " + "[" * 3000, "nested deeper"),
        ("daemon: greeter\ndescription: x\nconfig: {day: !!timestamp 2026-99-99}\n", ":3: the tag"),
        ("daemon: greeter\ndaemon: greeter\n", ":2: the key 'daemon' stands twice"),
        ("overlay: [bus]\nemits: []\n", "which is no daemon here"),
        (
            "daemon: greeter\ndescription: x\nmax_handling_s: 5m\n",
            ":3: max_handling_s: must be a number, not the text '5m'",
        ),
        ("daemon: greeter\ndescription: x\n\nemit: []\n", r":4: emit: unknown key \(did you mean 'emits'"),
        ("daemon: greeter\nin_flight: 0\n", r":2: in_flight: must be at least 1, not 0"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused_with_its_line(tmp_path, text, named):
    """One broken file in daemons.d must not end the bus in a traceback."""
    (tmp_path / "greeter.yaml").write_text(text)
    with pytest.raises(ManifestError, match=named):
        load_all(tmp_path, [])


def test_a_budget_is_read_and_a_slip_in_it_is_named():
    """A bound that is never read is never held."""
    budget = {"cpu": 0.2, "idle_cpu": 0.03, "memory_mib": 120, "log_lines_per_s": 3}
    rates = {"Q_HEARTBEAT": {"min": 8, "max": 18}}
    found = parsed(budget={**budget, "per_minute": rates}).budget
    assert found is not None
    assert (found.cpu, found.per_minute) == (0.2, {"Q_HEARTBEAT": (8.0, 18.0)})
    assert parsed().budget is None
    for wrong in (budget, {**budget, "per_minute": {}, "cpus": 1}, {**budget, "per_minute": {}, "cpu": 0}):
        with pytest.raises(ManifestError, match="budget"):
            parsed(budget=wrong)
