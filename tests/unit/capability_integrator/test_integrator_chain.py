"""What the investigator really says, handed to the integrator."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from services.capability_integrator.document import Document
from services.capability_integrator.registry import Integrator
from services.investigator.inquiry import Investigator
from services.investigator.records import Records

SERVICES = Path(__file__).parents[3] / "services"
AT = "2026-01-02T03:04:05.000006Z"


def manifest(daemon):
    return yaml.safe_load((SERVICES / daemon / "manifest.yaml").read_text())


def defaults(daemon):
    properties = manifest(daemon)["config"]["properties"]
    return {name: schema["default"] for name, schema in properties.items() if "default" in schema}


@pytest.fixture
def investigate(tmp_path, catalogue):
    (tmp_path / "code").mkdir()
    config = defaults("investigator") | {"roots": [str(tmp_path / "code")]}
    investigator = Investigator.of(config, Records(tmp_path / "records.jsonl"))

    def asked(name):
        facts = {
            "question": "?",
            "question_id": "q",
            "priority": "normal",
            "evidence": [],
            "module_path": name,
        }
        outcome = investigator.answer(f"ask-{name}", AT, facts)
        catalogue[outcome.signal].check(outcome.facts)
        return outcome

    return asked


@pytest.mark.parametrize("name", ["json", "email", "asyncio", "email.mime.text"])
def test_real_modules_end_in_the_registry(investigate, hand, registry, name):
    """A person asks about a module and finds it in the file, disabled."""
    facts = investigate(name).facts
    assert hand(facts).signal == "Q_MODULE_INTEGRATED"
    entry = Document(registry.read_bytes()).entry(name)
    assert entry is not None
    assert entry["enabled"] is False
    assert entry["summary"] == facts["summary"]


def test_an_empty_package_is_not_a_capability(investigate, hand, tmp_path):
    """A package in which nothing stands is not registered."""
    (tmp_path / "code/hollow").mkdir()
    (tmp_path / "code/hollow/__init__.py").touch()
    assert hand(investigate("hollow").facts).facts["reason"] == "low_confidence"


def test_a_folder_becomes_a_package_where_allowed(investigate, hand, tmp_path):
    """The two daemons agree about what a missing `__init__.py` is and where the folder lies."""
    folder = tmp_path / "code/audio"
    folder.mkdir()
    (folder / "capture.py").write_text('def start():\n    """Begin."""\n')
    (folder / "README.md").write_text("Hears what is said.\n")
    outcome = hand(investigate("audio").facts, roots=[{"path": str(tmp_path / "code"), "create_init": True}])
    assert outcome.facts["created_init"] is True
    assert (folder / "__init__.py").exists()


@pytest.mark.parametrize("daemon", ["investigator", "capability_integrator"])
def test_defaults_fit_the_manifest(daemon, tmp_path):
    """A daemon without a configuration file starts with defaults that its own schema allows."""
    schema = manifest(daemon)["config"]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(defaults(daemon), schema)
    assert all(one["description"] for one in schema["properties"].values())
    if daemon == "capability_integrator":
        assert Integrator.of(defaults(daemon), tmp_path).path == tmp_path.resolve() / "capabilities.yaml"
