"""An integrator over a registry of the test's own, and investigations to hand it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.capability_integrator.logic import Outcome
from services.capability_integrator.registry import Integrator
from signals.catalogue import Catalogue

AT = "2026-01-02T03:04:05.000006Z"


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue.load()


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / "capabilities.yaml"


@pytest.fixture
def build(registry: Path) -> Callable[..., Integrator]:
    def built(**config: Any) -> Integrator:
        settings = {"registry": None, "min_confidence": 0.3, "keep_backups": 3, "roots": []} | config
        return Integrator.of(settings, registry.parent)

    return built


@pytest.fixture
def found(catalogue: Catalogue) -> Callable[..., dict[str, Any]]:
    """The facts of an investigation that fits its contract."""

    def facts(name: str = "json", **changes: Any) -> dict[str, Any]:
        made: dict[str, Any] = {
            "investigation_id": "i1",
            "question_id": "q1",
            "question": "What is it?",
            "subject": "module",
            "module_name": name,
            "module_path": f"/lib/{name}",
            "py_files_count": 5,
            "has_init": True,
            "method": "static",
            "summary": f"{name}: encodes: and decodes # text",
            "findings": ["Package."],
            "capabilities": ["dumps(obj): Serialize."],
            "entry_points": [],
            "confidence": 0.9,
            "evidence": [{"kind": "source", "ref": f"/lib/{name}.py", "sha256": "ab" * 32}],
            "duration_s": 0.1,
        }
        made |= changes
        kept = {key: value for key, value in made.items() if value is not None}
        catalogue["Q_INVESTIGATION_COMPLETE"].check(kept)
        return kept

    return facts


@pytest.fixture
def hand(build: Callable[..., Integrator], catalogue: Catalogue) -> Callable[..., Outcome]:
    """Hand over an investigation; the outcome is held against its contract."""

    def handed(facts: dict[str, Any], signal_id: str = "s1", **config: Any) -> Outcome:
        outcome = build(**config).integrate(signal_id, AT, facts)
        catalogue[outcome.signal].check(outcome.facts)
        return outcome

    return handed
