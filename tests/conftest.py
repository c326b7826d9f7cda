"""Every test leaves the test process as it found it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest
from _pytest.nodeid import NodeId
from hypothesis import HealthCheck, settings

from tests.leaks import mark_descendants, nothing_left

GRACE_S = 20.0

# An example may take as long as the machine takes; in CI hypothesis says so by itself.
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
mark_descendants()
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script: what is started would be deaf
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give xdist the groups of the tests: its own way of doing so, up to 3.8, is not heard by pytest from 9.1 on."""
    for item in items if "PYTEST_XDIST_WORKER" in os.environ else ():
        mark = item.get_closest_marker("xdist_group")
        if mark is not None and "@" not in item.nodeid.rpartition("]")[2]:
            item._id = NodeId.parse(f"{item.nodeid}@{mark.args[0]}")


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a process, a thread or a file descriptor behind.

    What fixtures of a wider scope hold was there before and stays allowed.
    """
    with contextlib.nullcontext() if request.node.get_closest_marker("may_leak") else nothing_left(GRACE_S):
        yield
