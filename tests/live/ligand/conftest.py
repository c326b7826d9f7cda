"""A whole constellation in a home of its own, one for all tests of a file that only look or ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.constellation import Constellation, constellation, others

DAEMONS = ("intent_router", "investigator", "capability_integrator")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Constellation]:
    """Bus, router, investigator and integrator, ready."""
    with constellation(tmp_path_factory.mktemp("whole")) as found:
        found.config("bus", {"disable": others(*DAEMONS)})
        start(found)
        yield found


def start(found: Constellation) -> None:
    """Start every daemon and wait for it."""
    found.bus()
    for running in [found.daemon(name) for name in DAEMONS]:
        running.ready()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Constellation]:
    """A bus alone, for one test; Ligand's own daemons are disabled."""
    with constellation(tmp_path) as found:
        found.config("bus", {"disable": others()})
        found.bus()
        yield found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Constellation]:
    """The same for all tests of a file that change nothing."""
    with constellation(tmp_path_factory.mktemp("alone")) as found:
        found.config("bus", {"disable": others()})
        found.bus()
        yield found
