"""An investigator over a folder of the test's own, and questions to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.investigator.inquiry import Investigator
from services.investigator.logic import Outcome
from services.investigator.records import Records
from signals.catalogue import Catalogue

LIMITS = {"max_files": 500, "max_bytes": 4_194_304, "max_file_bytes": 524_288, "max_seconds": 60}


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue.load()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def write(root: Path) -> Callable[..., Path]:
    """Write a file beneath the root, with the folders above it."""

    def written(name: str, text: str | bytes = "") -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return written


@pytest.fixture
def investigator(tmp_path: Path, root: Path) -> Investigator:
    return build(tmp_path, root)


def build(tmp_path: Path, *roots: Path, **config: Any) -> Investigator:
    records = Records(tmp_path / "curiosity_investigations.jsonl")
    settings = {"roots": [str(one) for one in roots], "interpreter_library": True} | LIMITS | config
    return Investigator.of(settings, records)


@pytest.fixture
def ask(tmp_path: Path, root: Path, catalogue: Catalogue) -> Callable[..., Outcome]:
    """Ask about a module; every outcome is held against its contract."""

    def asked(module_path: str = "", evidence: tuple[str, ...] = (), **config: Any) -> Outcome:
        facts: dict[str, Any] = {"question": "What is it?", "question_id": "q1", "priority": "normal"}
        facts["evidence"] = list(evidence)
        if module_path:
            facts["module_path"] = module_path
        identity = f"signal-{module_path}-{evidence}-{config}"
        outcome = build(tmp_path, root, **config).answer(identity, "2026-01-02T03:04:05.000006Z", facts)
        catalogue[outcome.signal].check(outcome.facts)
        return outcome

    return asked


def said(outcome, mark):
    """The findings that begin with a word."""
    return [line for line in outcome.facts["findings"] if line.startswith(mark)]
